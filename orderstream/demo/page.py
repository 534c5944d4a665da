"""The demo's page: one document for all its addresses, and its files."""

from importlib.resources import files

from aiohttp import web

from orderstream.web.pages import add_page

ADDRESSES = ("/", "/orders/{order_id}", "/place", "/devices")


def add_to(app: web.Application) -> None:
    """The page's addresses, and its files under `/page/`."""
    add_page(app, files(__package__) / "static", ADDRESSES, under="/page")
