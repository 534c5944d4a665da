"""Chromium, driven by Playwright: a page whose script opens an EventSource with the user's cookie."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from orderstream.settings import Settings
from tests.clients.programs import program
from tests.clients.record import Record
from tests.ports import free_port
from tests.services import Address

# Another port is another origin, and the same site, so the cookie goes with it; `localhost` would be another site.
_OTHER_PORT = free_port()
OTHER_ORIGIN = f"http://127.0.0.1:{_OTHER_PORT}"

COOKIE = Settings().jwt_cookie

_REPORT = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
_PAGE = f"<!doctype html><title>orders</title><script type=module>{_REPORT}; window.report = report</script>"
_PATH = "/page"
_OPEN = "url => { report(new EventSource(url, { withCredentials: true }), tell) }"
_TICKET = """async ([url, jwt]) => {
    const answer = await fetch(url, { method: "POST", headers: { Authorization: `Bearer ${jwt}` } });
    return (await answer.json()).ticket;
}"""

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def own_page(service: Address, record: Record) -> AsyncIterator[Page]:
    """A page of the service's origin that reports to the record; it has opened nothing yet."""
    async with _blank(record) as page:
        # The service has no page to offer: the browser gets this one from us, and everything after it by itself.
        await page.route(f"**{_PATH}", lambda route: route.fulfill(body=_PAGE, content_type="text/html"))
        await page.goto(service.url + _PATH)
        await page.unroute_all()
        yield page


@asynccontextmanager
async def other_page(record: Record) -> AsyncIterator[Page]:
    """The same of OTHER_ORIGIN; really served, for a page from nowhere may not reach a loopback address."""
    app = web.Application()
    app.router.add_get(_PATH, _serve)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", _OTHER_PORT).start()
        async with _blank(record) as page:
            await page.goto(OTHER_ORIGIN + _PATH)
            yield page
    finally:
        await runner.cleanup()


async def log_in(page: Page, service: Address, jwt: str) -> None:
    """Sets the cookie, as the login service does."""
    await page.context.add_cookies([{"name": COOKIE, "value": jwt, "url": service.url, "httpOnly": True}])


async def follow(page: Page, service: Address, query: str = "") -> None:
    """Opens the stream."""
    await page.evaluate(_OPEN, f"{service.url}/v1/orders/stream{query}")


async def ticket(page: Page, service: Address, jwt: str) -> str:
    """One that the page fetches with a JWT that it holds itself."""
    return str(await page.evaluate(_TICKET, [f"{service.url}/v1/tickets", jwt]))


@asynccontextmanager
async def same_origin(service: Address, user: str, record: Record) -> AsyncIterator[None]:
    """A page that the service itself could have served."""
    async with own_page(service, record) as page:
        await log_in(page, service, service.jwt(user))
        await follow(page, service)
        yield


@asynccontextmanager
async def allowed_origin(service: Address, user: str, record: Record) -> AsyncIterator[None]:
    """A page of another origin, which `cors_origins` names."""
    async with other_page(record) as page:
        await log_in(page, service, service.jwt(user))
        await follow(page, service)
        yield


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """The browser, without a page."""
    path = program("chromium", "google-chrome")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def with_profile(folder: Path) -> AsyncIterator[BrowserContext]:
    """The browser as a person has it, with a profile; a page of `launched` is one in a private window."""
    path = program("chromium", "google-chrome")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(folder, executable_path=path, args=list(_FLAGS))
        try:
            yield context
        finally:
            await context.close()


@asynccontextmanager
async def _blank(record: Record) -> AsyncIterator[Page]:
    async with launched() as browser:
        page = await browser.new_page()
        await page.expose_function("tell", record.tell)
        yield page


async def _serve(_request: web.Request) -> web.Response:
    return web.Response(text=_PAGE, content_type="text/html")
