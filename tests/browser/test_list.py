"""The list of orders: read on as one scrolls, chosen from, walked through with the keyboard."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.site import PHONE, DemoService, Table, device, signed_in, table
from tests.clients.chromium import launched
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.system

USER = "ann"
OLD = 230
_OLD = """
    insert into public.orders
        (user_id, symbol, asset_class, side, order_type, platform, quantity, status, created_at, updated_at)
    select 'ann', case when mod(n, 10) = 0 then 'BTC-USD' else 'KO' end,
        case when mod(n, 10) = 0 then 'crypto' else 'stock' end,
        'buy', 'market', 'web', n, case when mod(n, 2) = 0 then 'rejected' else 'expired' end,
        now() - interval '9 days' - n * interval '1 minute', now() - interval '8 days'
    from generate_series(1, %s) n
"""


@pytest.fixture
async def orders(database: str) -> AsyncIterator[Table]:
    """One that works, and many that ended before the snapshot's time."""
    async with table(database) as opened:
        opened.rows(_OLD, OLD)
        opened.insert(USER)
        yield opened


@pytest.fixture
async def page(database: str, orders: Table) -> AsyncIterator[Page]:
    async with (
        DemoService(database) as service,
        launched() as browser,
    ):
        await service.ready()
        async with device(browser, service.url, PHONE) as context:
            yield await signed_in(context, USER)


async def scroll_to(page: Page, row: Locator) -> None:
    """Scrolls down until that row is there: each page of orders is asked for when one is near its end."""
    async with asyncio.timeout(PATIENCE_S):
        while await row.count() == 0:
            await page.mouse.wheel(0, 4000)
            await page.wait_for_timeout(50)


async def test_list_is_read_on_when_it_is_scrolled(page: Page, orders: Table) -> None:
    """Down to the last order; and what arrives meanwhile does not push away what is being read."""
    last, end = page.locator(f".rows li[aria-posinset='{OLD + 1}']"), page.get_by_text("That is all of them.")
    await scroll_to(page, last)
    await expect(end).to_be_visible()
    before = await last.bounding_box()
    orders.insert(USER, 3)
    await expect(page.locator(f".rows li[aria-posinset='{OLD + 4}']")).to_have_count(1)
    after = await page.locator(f".rows li[aria-posinset='{OLD + 4}']").bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 1


async def test_list_has_what_was_chosen(page: Page) -> None:
    """By being open, by status, by symbol and by class, each on top of the others."""
    found = page.locator(".rows li").first
    await page.get_by_label("Open", exact=True).check()
    await expect(found).to_have_attribute("aria-setsize", "1")
    await page.get_by_label("Ended", exact=True).check()
    await page.get_by_label("Class", exact=True).select_option("crypto")
    await page.get_by_label("Status", exact=True).select_option("rejected")
    await scroll_to(page, page.locator(f".rows li[aria-posinset='{OLD // 10}']"))
    await expect(found).to_have_attribute("aria-setsize", str(OLD // 10))
    await page.mouse.wheel(0, -9000)
    await page.get_by_role("searchbox", name="Symbol").fill("k")
    await expect(page.locator(".none")).to_have_text("No order is like that.")


async def test_list_is_walked_with_the_keyboard(page: Page) -> None:
    """Down, into an order, which is then read out from its heading; and back."""
    await page.locator(".row").first.focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator(".detail h1")).to_be_focused()
    await expect(page.locator(".detail h1")).to_have_text("Buy KO")
    await page.go_back()
    await expect(page.locator(".rows li").first).to_be_visible()


async def test_list_is_where_it_was_left(page: Page) -> None:
    """An order is read from its top, however far down the list it was; the way back leads to its row."""
    await page.mouse.wheel(0, 1800)
    await expect(page.locator(".rows li[aria-posinset='20']")).to_be_in_viewport()
    left_px = await page.evaluate("scrollY")
    row = page.locator(".rows li[aria-posinset='20'] a")
    await row.click()
    await expect(page.locator(".detail h1")).to_be_in_viewport()
    assert await page.evaluate("scrollY") == 0
    await page.get_by_role("link", name="All orders").click()
    await expect(row).to_be_focused()
    await page.wait_for_function("left_px => scrollY === left_px", arg=left_px)
