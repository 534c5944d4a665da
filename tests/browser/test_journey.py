"""A user's way through the page, on a phone and on a desktop, while the exchange trades."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
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
    shows,
    signed_in,
    table,
)
from tests.clients.chromium import launched

pytestmark = pytest.mark.system

USER = "zoe"


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
async def test_order_is_placed_watched_and_cancelled(database: str, kind: dict[str, Any], tmp_path: Path) -> None:
    """Placed, filled and told of without a touch; another one refused in words, then cancelled with its reason."""
    async with (
        DemoService(database) as service,
        table(database) as orders,
        launched() as browser,
        device(browser, service.url, kind) as context,
        trading(database),
    ):
        await service.ready()
        page = await signed_in(context, USER)
        await page.evaluate(WATCH_SHIFTS)
        notices = page.locator("#notices")
        await place(page, "BTC-USD", "0.5")
        await expect(page).to_have_url(f"{service.url}/")
        await expect(page.locator(".chip[data-status=filled]")).to_be_visible()
        await expect(notices).to_contain_text("BTC-USD")
        assert await page.evaluate("window.shifted") < 0.01
        await page.locator(".row").first.click()
        await expect(page.locator(".timeline")).to_contain_text("Bought")
        assert not await serious_faults(page)

        await place(page, "AAPL", "3", "1")
        await expect(page.get_by_role("alert")).to_contain_text("away from the last price")
        assert not await serious_faults(page)
        await place(page, "AAPL", "3", "190")
        await expect(page.locator(".chip[data-status=submitted]")).to_be_visible()
        assert not await serious_faults(page)
        await page.locator(".row").first.click()
        await page.get_by_role("button", name="Cancel order").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel order").click()
        await expect(page.locator(".reason")).to_contain_text("You asked for it to be cancelled.")
        await page.get_by_role("link", name="Orders", exact=True).last.click()
        await shows(page, orders, USER)
