"""`/docs` and `/openapi.json` as they are served: whole, kept by caches, and in need of nothing else."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from orderstream.web import docs
from orderstream.web.openapi import openapi
from tests.web.conftest import Site

PAGE = docs.page(openapi(jwt_cookie="session"))
_UNCLOSED = {"meta"}


class Reader(HTMLParser):
    """What a browser would look at: elements with their attributes, and whether each is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(PAGE)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _UNCLOSED:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def values(self, attribute: str) -> list[str]:
        return [str(having[attribute]) for _, having in self.elements if attribute in having]


@pytest.fixture(params=["/openapi.json", "/docs"])
def path(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_both_are_for_everybody_and_for_caches(path: str, site: Site) -> None:
    """Without a credential."""
    answer = await site.client.get(path)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "max-age=86400"


async def test_a_copy_is_confirmed_by_its_tag(path: str, site: Site) -> None:
    """In a list, weak or not."""
    tag = (await site.client.get(path)).headers["ETag"]
    answer = await site.client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, tag, b"")


async def test_another_tag_gets_the_whole(path: str, site: Site) -> None:
    """As does one that cannot be read."""
    answer = await site.client.get(path, headers={"If-None-Match": '"other'})
    assert (answer.status, len(await answer.read()) > 10_000) == (200, True)


async def test_the_page_allows_its_own_style_and_nothing_else(site: Site) -> None:
    """By the hash of the only style there is."""
    answer = await site.client.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    (style,) = re.findall("<style>(.*?)</style>", await answer.text(), re.DOTALL)
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{allowed}';")
    assert "unsafe" not in policy


def test_the_page_asks_for_nothing() -> None:
    """Neither a script nor anything that is elsewhere, nor a style beside the one that is allowed."""
    reader = Reader()
    assert not {tag for tag, _ in reader.elements} & {"script", "link", "img", "iframe", "base", "form", "object"}
    assert not reader.values("src") + reader.values("style")
    assert not re.search(r"url\(|@import", docs.STYLE)


def test_every_link_of_the_page_leads_somewhere() -> None:
    """To an anchor, which is there once, or to the description itself."""
    reader = Reader()
    anchors = reader.values("id")
    assert len(anchors) == len(set(anchors))
    assert set(reader.values("href")) - {f"#{anchor}" for anchor in anchors} == {"openapi.json"}


@pytest.mark.parametrize("kind", ["schemas", "paths"])
def test_everything_described_has_an_anchor(kind: str) -> None:
    """Resources by their methods, documents by their names."""
    described = openapi(jwt_cookie="session")
    anchors = set(Reader().values("id"))
    if kind == "schemas":
        wanted = {f"schema-{name}" for name in described["components"]["schemas"]}
    else:
        wanted = {docs.anchor(method, path) for path, methods in described["paths"].items() for method in methods}
    assert wanted <= anchors


def test_what_is_described_is_text_and_never_markup() -> None:
    """An operator's cookie name too."""
    assert "<b>x" not in docs.page(openapi(jwt_cookie="<b>x"))
