"""`orderstream.js` in Chromium against a real service: tabs share a connection, and a page lives through a burst."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import aiohttp
import psycopg2
import pytest
from playwright.async_api import BrowserContext, Page

from tests.clients import chromium
from tests.clients.trade import USER, opened, trading
from tests.services import ServiceProcess
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.system

# Its script is the service's own; `seen` counts what the page was told.
_PAGE = """
<!doctype html><title>orders</title>
<script type="module">
import { orderstream } from "/orderstream.js";
window.follow = (token) => {
    // A tab of a browser that stands still answers late, and is not to be robbed for that.
    const limits = { handover_s: 60 };
    window.seen = { batches: 0, snapshots: 0, problems: 0 };
    window.feed = orderstream("", { token, limits });
    feed.on("change", ({ snapshot }) => { seen.batches += 1; seen.snapshots += snapshot; });
    feed.on("problem", () => { seen.problems += 1; });
};
</script>
"""
_LIVE = "feed.connection.state === 'live'"
_ORDERS = (
    "Object.fromEntries([...feed.orders.values()].map(({ id, version, filled_quantity: f }) => [id, [version, f]]))"
)
_CHANGES = 1000


@pytest.fixture
async def service(database: str) -> AsyncIterator[ServiceProcess]:
    async with ServiceProcess(database, retry_ms=200) as running:
        await running.ready()
        yield running


@pytest.fixture
async def context(service: ServiceProcess) -> AsyncIterator[BrowserContext]:
    """A browser whose pages of the service's origin are ours; all else they get from the service."""
    async with chromium.launched() as browser:
        context = await browser.new_context()
        await context.route("**/page", lambda route: route.fulfill(body=_PAGE, content_type="text/html"))
        yield context


async def new_tab(context: BrowserContext, service: ServiceProcess) -> Page:
    """A page that is live."""
    page = await context.new_page()
    await page.goto(f"{service.url}/page")
    await page.evaluate("token => follow(token)", service.jwt(USER))
    await page.wait_for_function(_LIVE)
    return page


async def test_three_tabs_have_one_connection_and_the_next_takes_over_when_the_leading_one_is_closed(
    context: BrowserContext, service: ServiceProcess, database: str
) -> None:
    """Orders change all the while; both tabs that are left know what the database holds, and had one snapshot. The
    first change is acknowledged, by the tab that has the connection."""
    with opened(database) as trade:
        trade.submit()
        await trade.numbered()
        leading, *others = [await new_tab(context, service) for _ in range(3)]
        await service.logged("stream-opened")
        assert len(service.logs("stream-opened")) == 1
        trade.change()
        async with asyncio.timeout(PATIENCE_S):
            while not await acknowledged(service):
                pass
        async with trading(trade):
            await until_seq(others, trade.written + 20)
            await leading.close(run_before_unload=False)
            await service.logged("stream-opened", 2)
            await until_seq(others, trade.written + 20)
        await until_seq(others, trade.written)
    for page in others:
        assert await page.evaluate(_ORDERS) == orders_of(database)
        assert await page.evaluate("[seen.snapshots, seen.problems]") == [1, 0]
    assert len(service.logs("stream-opened")) == 2


async def test_a_burst_of_updates_is_a_few_batches(
    context: BrowserContext, service: ServiceProcess, database: str
) -> None:
    """A thousand updates that are committed together; the page ends where the database is."""
    with opened(database) as trade:
        trade.submit()
        page = await new_tab(context, service)
        await asyncio.to_thread(trade.burst, _CHANGES)
        await until_seq([page], trade.written)
    assert await page.evaluate(_ORDERS) == orders_of(database)
    assert await page.evaluate("seen.batches") < _CHANGES / 2


async def until_seq(pages: list[Page], seq: int) -> None:
    """Returns once every page has that event."""
    known = f"Number(feed.cursor.split('.')[1]) >= {seq}"
    await asyncio.gather(*[page.wait_for_function(known, timeout=PATIENCE_S * 1000) for page in pages])


async def acknowledged(service: ServiceProcess) -> float:
    """How many acknowledgements of streams the service has counted."""
    line = 'orderstream_written_to_acknowledged_seconds_count{transport="sse"} '
    async with aiohttp.ClientSession() as session, session.get(f"{service.admin_url}/metrics") as response:
        text = await response.text()
    return sum(float(each.removeprefix(line)) for each in text.splitlines() if each.startswith(line))


def orders_of(database: str) -> dict[str, Any]:
    """id -> version and filled quantity, as the page's script gives them."""
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute("select id, version, filled_quantity from orders where user_id = %s", (USER,))
        return {str(id): [version, float(filled)] for id, version, filled in cursor}
