"""One order's page: what happened to it and when, why it ended, and what is not known of it."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.site import PHONE, DemoService, Table, back_online, connected, device, signed_in, table
from tests.clients.chromium import launched
from tests.proxy import Proxy

pytestmark = pytest.mark.system

USER = "ann"


@pytest.fixture
async def orders(database: str) -> AsyncIterator[Table]:
    async with table(database) as opened:
        yield opened


@pytest.fixture
async def order_id(orders: Table) -> str:
    return orders.insert(USER)[0]


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    async with DemoService(database, retry_ms=200) as service, Proxy(service.port) as opened:
        await service.ready()
        yield opened


@pytest.fixture
async def page(proxy: Proxy, order_id: str) -> AsyncIterator[Page]:
    """The list, with one order at work."""
    async with launched() as browser, device(browser, proxy.url, PHONE) as context:
        yield await signed_in(context, USER)


async def test_order_says_why_it_was_refused(page: Page, orders: Table, order_id: str) -> None:
    """The moment that it is: what the code means, in a person's words, and what its service says of it."""
    await page.locator(".row").click()
    await expect(page.locator(".reason")).to_be_hidden()
    orders.rows(
        "update public.orders set status = 'rejected', reason_code = 'insufficient_buying_power',"
        " reason = 'You have $100.' where id = %s",
        order_id,
    )
    await expect(page.locator(".reason")).to_have_text("There was not enough money for it.You have $100.")
    await expect(page.locator(".timeline li").first).to_contain_text("Rejected")


async def test_order_is_looked_up_when_the_network_is_back(page: Page, proxy: Proxy) -> None:
    """Opened amid a cut it is what the list knew, says what is missing, and has it as soon as it can."""
    await proxy.cut()
    await expect(page.locator(".count")).to_contain_text("may be old")
    await page.locator(".row").click()
    await expect(page.locator(".missing")).to_have_text("That cannot be looked up at the moment.")
    await expect(page.locator(".detail h1")).to_have_text("Buy AAPL")
    await proxy.mend()
    await back_online(page)
    await connected(page)
    await expect(page.locator(".timeline li").first).to_contain_text("Accepted")
    await expect(page.locator(".missing")).to_be_empty()


async def test_order_tells_the_day_of_what_was_not_today(page: Page, orders: Table, order_id: str) -> None:
    """Beside the time to the millisecond, which alone could be of any day."""
    await page.locator(".row").click()
    happened = page.locator(".timeline time")
    await expect(happened).to_have_text(re.compile(r"^[\d:]{8}\.\d{3}$"))
    orders.rows(
        "insert into public.executions (order_id, symbol, side, quantity, price, executed_at)"
        " values (%s, 'AAPL', 'buy', 4, 230, '2026-02-03 12:00:00.789Z')",
        order_id,
    )
    await expect(happened.last).to_have_text(re.compile(r"^[\d:]{8}\.7893 Feb 2026$"))


async def test_notice_is_gone_when_its_user_signed_out(page: Page, orders: Table, order_id: str) -> None:
    """Whoever is at the sign-in page is not told what another one bought."""
    orders.fill(order_id, 4)
    notices = page.locator("#notices")
    await expect(notices).to_have_text("Bought 4 AAPL at $230.00")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name=USER, exact=True).wait_for()
    await expect(notices).to_be_empty()
