"""A user's way through the page, on a phone and on a desktop, while the exchange trades."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, expect

from orderstream.demo import exchange
from tests.browser.site import (
    DESKTOP,
    PHONE,
    WATCH_SHIFTS,
    DemoService,
    device,
    serious_faults,
    shifts,
    shows,
    signed_in,
    table,
)
from tests.clients.chromium import launched

pytestmark = pytest.mark.system

USER = "zoe"
_IS_FOCUSED = """([name, kind]) => {
    const { activeElement: one } = document;
    const called = one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? one.value;
    return one.matches(kind) && [called, one.textContent, one.value].includes(name);
}"""


@asynccontextmanager
async def trading(dsn: str) -> AsyncIterator[None]:
    """The exchange, with nobody in it but those at a page and two of the crowd."""
    stop = asyncio.Event()
    running = exchange.run(dsn, rate=60, users=2, seed=1, stop=stop, report=lambda line: None)
    task = asyncio.create_task(running)
    try:
        yield
    finally:
        stop.set()
        await task


async def place(page: Page, symbol: str, quantity: str, limit: str | None = None) -> None:
    await page.get_by_role("link", name="Place").click()
    form = page.locator(".place form")
    await form.get_by_label("Symbol").select_option(symbol)
    await form.get_by_label("Quantity").fill(quantity)
    await form.get_by_label("Type").select_option("market" if limit is None else "limit")
    if limit is not None:
        await form.get_by_label("Limit price").fill(limit)
    await form.locator("button[type=submit]").click()


@pytest.mark.parametrize("kind", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_order_is_placed_watched_and_cancelled(database: str, kind: dict[str, Any]) -> None:
    """Placed, partly filled, filled and told of without a touch; another refused in words, the next one cancelled."""
    async with (
        DemoService(database) as service,
        table(database) as orders,
        launched() as browser,
        device(browser, service.url, kind) as context,
        trading(database),
    ):
        await service.ready()
        page = await signed_in(context, USER)
        notices, first = page.locator("#notices"), page.locator(".row").first
        await place(page, "BTC-USD", "0.5")
        await expect(page).to_have_url(f"{service.url}/")
        # From here on nobody's hand: what a click brings may be late on a busy machine, and would count as nobody's.
        await page.evaluate(WATCH_SHIFTS)
        await expect(first.locator(".chip")).to_have_text("Filled")
        await expect(notices).to_contain_text("BTC-USD")
        # "1 second ago" would be seen when it is first drawn; this one it comes to by itself.
        await expect(first.locator("time")).to_have_text(re.compile(r"filled ([2-9]|\d\d) seconds ago"))

        assert await shifts(page) == []

        # Far from the market, so that nobody fills it but us; and of what trades all day.
        await place(page, "ETH-USD", "10", "2990")
        await expect(first.locator(".chip")).to_have_text("Working")
        await page.evaluate(WATCH_SHIFTS)
        (order_id,) = [row[0] for row in orders.of(USER) if row[1] == "ETH-USD"]
        orders.fill(order_id, 4)
        await expect(first.locator(".chip")).to_have_text("Partly filled")
        await expect(notices).to_contain_text("Bought 4 ETH-USD at $230.00")
        orders.fill(order_id, 6)
        await expect(first.locator(".chip")).to_have_text("Filled")
        await expect(first.locator(".filled")).to_have_text("10 of 10")
        assert await shifts(page) == []

        await place(page, "ETH-USD", "3", "1")
        await expect(page.get_by_role("alert")).to_contain_text("away from the last price")
        await place(page, "ETH-USD", "3", "2990")
        await expect(first.locator(".chip")).to_have_text("Working")
        await first.click()
        await page.get_by_role("button", name="Cancel order").click()
        assert not await serious_faults(page)
        await page.get_by_role("dialog").get_by_role("button", name="Cancel order").click()
        await expect(page.locator(".reason")).to_contain_text("You asked for it to be cancelled.")
        await page.get_by_role("link", name="Orders", exact=True).last.click()
        await shows(page, orders, USER)


async def test_order_is_placed_and_cancelled_with_the_keyboard_alone(database: str) -> None:
    """From signing in to the answer of the dialog, the focus is always where one goes on from."""
    async with (
        DemoService(database) as service,
        table(database) as orders,
        launched() as browser,
        device(browser, service.url) as context,
        trading(database),
    ):
        await service.ready()
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_role("button", name=USER, exact=True).wait_for()
        await tab_to(page, USER)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Orders", exact=True)).to_be_focused()
        await tab_to(page, "Symbol", "select")
        await page.keyboard.type("ETH")
        await tab_to(page, "Type")
        await page.keyboard.type("Limit")
        await tab_to(page, "Quantity")
        await page.keyboard.type("3")
        await tab_to(page, "Limit price")
        await page.keyboard.type("2990")
        await page.keyboard.press("Enter")
        await expect(page.locator(".chip[data-status=submitted]")).to_be_visible()
        await page.locator(".row").first.press("Enter")
        await expect(page.locator(".detail h1")).to_be_focused()
        await tab_to(page, "Cancel order")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Cancel order")).to_be_focused()
        await page.keyboard.press("Enter")
        await tab_to(page, "Cancel order", "dialog button")
        await page.keyboard.press("Enter")
        await expect(page.locator(".reason")).to_contain_text("You asked for it to be cancelled.")
        await page.go_back()
        await expect(page.locator(".row").first).to_be_focused()
        await shows(page, orders, USER)


async def tab_to(page: Page, name: str, kind: str = "*") -> None:
    """Presses Tab until the focus is on what is called so; fails where it does not come by."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate(_IS_FOCUSED, [name, kind]):
            return
    pytest.fail(f"the focus does not come to {name}")
