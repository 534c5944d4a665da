"""The page's own server: what it serves, who is believed, and which orders get into the table."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
from aiohttp import web

from orderstream.app import Service
from orderstream.demo import counter, page, signing_in
from orderstream.settings import Settings
from tests.services import SECRET, RunningService
from tests.waiting import PATIENCE_S

ORDER = {"symbol": "AAPL", "side": "buy", "order_type": "limit", "quantity": "10", "price": "230"}
COOKIE = Settings().jwt_cookie


@pytest.fixture
async def browser(database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a cookie jar, of a service with the page on it."""

    def extend(app: web.Application) -> None:
        page.add_to(app)
        signing_in.add_to(app, SECRET)
        counter.add_to(app, database, tmp_path / "prices.json")

    running = RunningService()
    running.service = Service(Settings(**running.settings(database)), extend)
    try:
        await running.service.start()
        async with httpx.AsyncClient(base_url=running.url, timeout=PATIENCE_S) as client:
            yield client
    finally:
        await running.service.stop()


async def sign_in(browser: httpx.AsyncClient, user: str = "ann") -> httpx.Response:
    return await browser.post("/demo/session", json={"user": user})


def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(dsn)) as session, session.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.mark.parametrize("address", ["/", "/orders/1", "/place", "/devices"])
async def test_page_is_at_each_of_its_addresses(browser: httpx.AsyncClient, address: str) -> None:
    """With a policy that lets nothing in from elsewhere, and no script but files."""
    answer = await browser.get(address)
    policy = answer.headers["Content-Security-Policy"]
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'; script-src 'self'" in policy
    assert "unsafe" not in policy


async def test_file_is_not_sent_again_when_it_is_known(browser: httpx.AsyncClient) -> None:
    """It is asked for each time, so that nobody has half of an old page."""
    first = await browser.get("/page/app.js")
    again = await browser.get("/page/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.headers["Cache-Control"], again.status_code, again.content) == ("no-cache", 304, b"")


async def test_sign_in_sets_a_cookie_that_no_script_and_no_other_site_has(browser: httpx.AsyncClient) -> None:
    """HttpOnly and SameSite=Strict; the service takes it."""
    set_cookie = (await sign_in(browser)).headers["Set-Cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Strict" in set_cookie
    assert (await browser.get("/v1/orders")).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [{"json": {"user": "mallory"}}, {"json": {"user": 7}}, {"data": {"user": "ann"}}, {"content": b'{"user":"ann"}'}],
    ids=["unknown", "no-text", "form", "no-type"],
)
async def test_sign_in_is_refused_when_it_is_not_the_pages(browser: httpx.AsyncClient, sent: dict[str, Any]) -> None:
    """Only names of the demo, and only JSON, which another site's page may not send."""
    answer = await browser.post("/demo/session", **sent)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (400, False)


async def test_renewed_jwt_is_of_the_same_session(browser: httpx.AsyncClient) -> None:
    """So that a device is one line among My devices, however long it is signed in."""
    first = (await sign_in(browser)).json()
    assert (await browser.put("/demo/session")).json()["session"] == first["session"]
    assert (await browser.get("/demo/session")).json()["user"] == "ann"


async def test_cookie_is_of_no_use_when_its_user_signed_out(browser: httpx.AsyncClient) -> None:
    """It is taken away, and whoever kept it has nothing."""
    await sign_in(browser)
    kept = browser.cookies[COOKIE]
    assert (await browser.delete("/demo/session")).status_code == 204
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, kept)
    assert (await browser.get("/v1/orders")).status_code == 401


async def test_order_is_in_the_table_when_it_was_placed(browser: httpx.AsyncClient, database: str) -> None:
    """pending_new, of the user who is signed in, and exactly as asked for."""
    await sign_in(browser, "zoe")
    answer = await browser.post("/demo/orders", json=ORDER | {"quantity": " 1,000 ", "symbol": "aapl"})
    assert answer.status_code == 201
    stored = rows(database, "select id::text, user_id, symbol, quantity, price, status from public.orders")
    assert stored == [(answer.json()["id"], "zoe", "AAPL", 1000, 230, "pending_new")]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"symbol": "APPL"}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"side": "hold"}, "side"),
        ({"order_type": "hope"}, "order_type"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "1e9"}, "quantity"),
        ({"quantity": "0.5"}, "quantity"),
        ({"quantity": "100000"}, "quantity"),
        ({"price": ""}, "price"),
        ({"price": "230.001"}, "price"),
        ({"price": "1"}, "price"),
        ({"order_type": "stop", "price": "", "stop_price": "1"}, "stop_price"),
    ],
)
async def test_order_is_refused_with_words_and_its_field(
    browser: httpx.AsyncClient, database: str, wrong: dict[str, str], field: str
) -> None:
    """What a person has to change, and where; nothing is written."""
    await sign_in(browser)
    answer = await browser.post("/demo/orders", json=ORDER | wrong)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["detail"].endswith(".")
    assert rows(database, "select count(*) from public.orders") == [(0,)]


async def test_order_is_asked_to_be_cancelled_by_its_user_only(browser: httpx.AsyncClient, database: str) -> None:
    """And only while it is at work; another's is like none."""
    await sign_in(browser, "zoe")
    order_id = (await browser.post("/demo/orders", json=ORDER)).json()["id"]
    with closing(psycopg2.connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute("update public.orders set status = 'submitted'")
    cancel = f"/demo/orders/{order_id}/cancel"
    await sign_in(browser, "ann")
    assert (await browser.post(cancel)).status_code == 409
    await sign_in(browser, "zoe")
    assert [(await browser.post(cancel)).status_code for _ in range(2)] == [202, 409]
    assert rows(database, "select status from public.orders") == [("pending_cancel",)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/demo/instruments"),
        ("POST", "/demo/orders"),
        ("POST", "/demo/orders/1/cancel"),
        ("PUT", "/demo/session"),
    ],
)
async def test_nobody_gets_nothing(browser: httpx.AsyncClient, method: str, path: str) -> None:
    """401, as the service itself answers."""
    assert (await browser.request(method, path, json=ORDER)).status_code == 401
