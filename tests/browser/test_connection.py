"""What the page makes of a bad day: every one ends with the page showing exactly what the database holds."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.site import (
    COOKIE,
    PHONE,
    STREAM,
    DemoService,
    Table,
    chromium,
    connected,
    device,
    serious_faults,
    shows,
    signed_in,
    table,
)

pytestmark = pytest.mark.system

USER = "ann"
# How long the page leaves its user without a frame at most, from now on.
_WATCH_FRAMES = """() => {
    window.longest_ms = 0;
    let before = performance.now();
    requestAnimationFrame(function frame(now) {
        window.longest_ms = Math.max(window.longest_ms, now - before);
        before = now;
        requestAnimationFrame(frame);
    });
}"""


class Site(NamedTuple):
    service: DemoService
    orders: Table
    browser: Browser

    @property
    def url(self) -> str:
        return self.service.url


@pytest.fixture
async def site(database: str) -> AsyncIterator[Site]:
    async with (
        DemoService(database, retry_ms=200, jwt_leeway_s=0, heartbeat_s=1) as service,
        table(database) as orders,
        chromium() as browser,
    ):
        await service.ready()
        yield Site(service, orders, browser)


async def test_page_catches_up_when_the_service_was_killed(site: Site) -> None:
    """It says that it is not connected and since when, and misses nothing of what was written meanwhile."""
    (order_id,) = site.orders.insert(USER)
    async with device(site.browser, site.url) as context:
        page = await signed_in(context, USER)
        await shows(page, site.orders, USER)
        site.service.kill()
        await site.service.wait()
        await expect(page.locator(".count")).to_contain_text("may be old")
        site.orders.fill(order_id, 4)
        site.orders.insert(USER, 2)
        await site.service.start()
        await site.service.ready()
        # The button for now; unless the page was faster.
        await page.locator(".connection button:visible, .connection[data-state=live]").first.click()
        await connected(page)
        await shows(page, site.orders, USER)


async def test_page_catches_up_when_the_network_was_away(site: Site) -> None:
    """The browser says that it has no network, and so does the page; then it goes on by itself."""
    (order_id,) = site.orders.insert(USER)
    async with device(site.browser, site.url, PHONE) as context:
        page = await signed_in(context, USER)
        await context.set_offline(True)
        await connected(page, "offline")
        assert not await serious_faults(page)
        site.orders.fill(order_id, 10)
        await context.set_offline(False)
        await connected(page)
        await shows(page, site.orders, USER)


@pytest.mark.parametrize("is_buffered", [False, True], ids=["blocked", "buffered"])
async def test_page_polls_when_streams_do_not_come_through(site: Site, is_buffered: bool) -> None:
    """Polling mode, said so, with everything that happens; and live again when the way is free."""

    async def proxy(route: Route) -> None:
        # A proxy that buffers keeps the answer for itself: nothing comes, and no error either.
        if not is_buffered:
            await route.abort()

    async with device(site.browser, site.url) as context:
        await context.route(STREAM, proxy)
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_role("button", name=USER, exact=True).click()
        await connected(page, "polling")
        (order_id,) = site.orders.insert(USER)
        site.orders.fill(order_id, 4)
        await shows(page, site.orders, USER)
        assert not await serious_faults(page)
        await context.unroute(STREAM)
        await page.get_by_role("button", name="Try live").click()
        await connected(page)
        site.orders.fill(order_id, 6)
        await shows(page, site.orders, USER)


async def test_page_goes_on_when_its_jwt_expires(site: Site) -> None:
    """The cookie was renewed meanwhile; the stream that ended with the old one is opened anew with the new one."""
    async with device(site.browser, site.url) as context:
        cookie = {"name": COOKIE, "value": site.service.jwt(USER, 5), "url": site.url, "httpOnly": True}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        page = await context.new_page()
        await page.goto("/")
        await connected(page)
        await site.service.logged("stream-closed", reason="auth-expired")
        (order_id,) = site.orders.insert(USER)
        site.orders.fill(order_id, 10)
        await shows(page, site.orders, USER)
        await connected(page)


async def test_device_is_signed_out_by_the_other(site: Site) -> None:
    """Both are told everything until one ends the other, which says so and says that it may be old."""
    (order_id,) = site.orders.insert(USER)
    async with (
        device(site.browser, site.url, PHONE) as phone,
        device(site.browser, site.url) as desktop,
    ):
        lost, kept = await signed_in(phone, USER), await signed_in(desktop, USER)
        site.orders.fill(order_id, 4)
        await shows(lost, site.orders, USER)
        await shows(kept, site.orders, USER)
        await kept.get_by_role("link", name="Devices").click()
        await kept.get_by_role("button", name="Sign out: Phone or tablet").click()
        await connected(lost, "signed-out")
        await expect(lost.locator(".connection")).to_contain_text("on another device")
        site.orders.fill(order_id, 6)
        await shows(kept, site.orders, USER)
        assert not await serious_faults(kept)


async def test_three_tabs_share_one_connection(site: Site) -> None:
    """Of which the service knows one; when the tab that has it is closed, the others go on without a hole."""
    (order_id,) = site.orders.insert(USER)
    async with device(site.browser, site.url) as context:
        first = await signed_in(context, USER)
        others = [await context.new_page() for _ in range(2)]
        for page in others:
            await page.goto("/")
            await connected(page)
            await shows(page, site.orders, USER)
        answer = await (await context.request.get("/v1/sessions")).json()
        assert [len(one["streams"]) for one in answer["sessions"]] == [1]
        await first.close()
        site.orders.fill(order_id, 10)
        await asyncio.gather(*(shows(page, site.orders, USER) for page in others))


async def test_page_answers_when_a_thousand_updates_come_at_once(site: Site) -> None:
    """Drawn in batches, so that a frame is never far; and one notice for all the executions."""
    ids = site.orders.insert(USER, 10)
    async with device(site.browser, site.url, PHONE) as context:
        page = await signed_in(context, USER)
        await shows(page, site.orders, USER)
        await page.evaluate(_WATCH_FRAMES)
        for _ in range(100):
            site.orders.rows(
                "update public.orders set filled_quantity = filled_quantity + 0.05 where user_id = %s", USER
            )
        site.orders.fill(ids[0], 1)
        site.orders.fill(ids[1], 2)
        await shows(page, site.orders, USER)
        assert await page.evaluate("window.longest_ms") < 500
        await expect(page.locator("#notices")).to_contain_text("2 executions: AAPL")
