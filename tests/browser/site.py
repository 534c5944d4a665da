"""The demo's page in Chromium: the service with the page on it, its orders, and browsers of several shapes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import psycopg2
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.clients.programs import missing
from tests.services import ServiceProcess
from tests.waiting import PATIENCE_S

# As patient as everything else here; its own five seconds are short where the exchange looks for orders every few.
expect.set_options(timeout=PATIENCE_S * 1000)

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140 Mobile Safari/537",
}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}

_AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

# Shifts that nobody's hand caused, and what shifted; what the page itself does with a click is allowed.
WATCH_SHIFTS = """() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
        for (const { hadRecentInput, value, sources } of list.getEntries())
            if (!hadRecentInput) window.shifts.push({ value, of: sources.map(({ node, previousRect, currentRect }) =>
                [node?.outerHTML?.slice(0, 120), previousRect.toJSON(), currentRect.toJSON()]) });
    }).observe({ type: "layout-shift" });
}"""
# What nobody would see, all together.
_NO_SHIFT = 0.01

# Colours are measured as they stay; the dot that breathes while the page is live never ends.
_STILL = """async () => {
    const ends = (one) => one.playState === "running" && one.effect.getComputedTiming().endTime !== Infinity;
    for (let running; (running = document.getAnimations().filter(ends)).length; )
        await Promise.allSettled(running.map((one) => one.finished));
}"""

# What the page says of the rows that it has drawn; the test's user has few enough that this is all of them.
_ROWS = """() => [...document.querySelectorAll(".rows li")].map((row) => [
    row.querySelector("a").pathname.split("/").pop(),
    row.querySelector(".what b").textContent,
    row.querySelector("a").dataset.side,
    row.querySelector(".chip").dataset.status,
    row.querySelector(".filled").textContent.replaceAll(",", ""),
    row.querySelector(".worth b").textContent.replaceAll(/[$,]/g, ""),
])"""
_STORED = """
    select id::text, symbol, side, status, trim_scale(filled_quantity) || ' of ' || trim_scale(quantity),
        coalesce(round(coalesce(average_price, price, stop_price), 2)::text, '')
    from public.orders where user_id = %s order by created_at desc, id desc
"""
_INSERT = """
    insert into public.orders (user_id, symbol, asset_class, side, order_type, platform, quantity, price, status)
    select %s, 'AAPL', 'stock', 'buy', 'limit', 'web', 10, 230, 'submitted' from generate_series(1, %s)
    returning id::text
"""


class DemoService(ServiceProcess):
    """The service with the page, as `orderstream demo` starts it."""

    program = ("-m", "orderstream.demo.serve", "/nonexistent/prices.json")


class Table:
    """public.orders, as an order service writes it."""

    def __init__(self, dsn: str) -> None:
        self._session = psycopg2.connect(dsn)
        self._session.autocommit = True

    def close(self) -> None:
        self._session.close()

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._session.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def insert(self, user: str, count: int = 1) -> list[str]:
        """New orders at work; their ids."""
        return [row[0] for row in self.rows(_INSERT, user, count)]

    def fill(self, order_id: str, quantity: int) -> None:
        """An execution, and the order with it."""
        self.rows(
            "insert into public.executions (order_id, symbol, side, quantity, price)"
            " select id, symbol, side, %s, 230 from public.orders where id = %s",
            *(quantity, order_id),
        )
        self.rows(
            "update public.orders set filled_quantity = filled_quantity + %s, average_price = 230, status = case"
            " when filled_quantity + %s = quantity then 'filled' else 'partially_filled' end where id = %s",
            *(quantity, quantity, order_id),
        )

    def of(self, user: str) -> list[list[str]]:
        return [list(row) for row in self.rows(_STORED, user)]


@asynccontextmanager
async def device(browser: Browser, url: str, kind: dict[str, Any] = DESKTOP) -> AsyncIterator[BrowserContext]:
    """A device of its own: no cookie, no cache. A page that throws, or breaks its own policy, fails the test."""
    wrong: list[str] = []
    context = await browser.new_context(**kind, base_url=url, locale="en-GB")
    context.set_default_timeout(PATIENCE_S * 1000)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    try:
        yield context
        assert not wrong
    finally:
        await context.close()


async def signed_in(context: BrowserContext, user: str, state: str = "live") -> Page:
    """A page that is connected so."""
    page = await context.new_page()
    await page.goto("/")
    await page.get_by_role("button", name=user, exact=True).click()
    await connected(page, state)
    return page


async def connected(page: Page, state: str = "live") -> None:
    """Waits until the page says that this is how it is connected."""
    await page.locator(f".connection[data-state={state}]").wait_for()


async def back_online(page: Page) -> None:
    """As a browser tells a page that its network is back. By itself the page asks within half a minute, and for the
    stream in some seconds after that."""
    await page.evaluate("dispatchEvent(new Event('online'))")


async def shows(page: Page, table: Table, user: str) -> None:
    """Waits until the page shows exactly what the database holds of the user."""
    await _until_none(lambda: _difference(page, table, user))


async def _until_none(difference: Callable[[], Any]) -> None:
    """Waits until the coroutine of `difference` gives nothing."""
    async with asyncio.timeout(PATIENCE_S):
        while await difference() is not None:
            await asyncio.sleep(0.05)


async def _difference(page: Page, table: Table, user: str) -> object:
    shown, stored = await page.evaluate(_ROWS), table.of(user)
    return None if shown == stored else (shown, stored)


async def shifts(page: Page) -> list[Any]:
    """What shifted since WATCH_SHIFTS; nothing where all of it together is too little to be seen."""
    found: list[Any] = await page.evaluate("window.shifts")
    return found if sum(one["value"] for one in found) >= _NO_SHIFT else []


async def serious_faults(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical, in light and in dark, once nothing fades in or moves."""
    if not _AXE.exists():
        missing("the npm package axe-core")
    await page.evaluate(_AXE.read_text(encoding="utf-8"))
    faults: list[str] = []
    for scheme in ("dark", "light"):
        await page.emulate_media(color_scheme=scheme)
        await page.evaluate(_STILL)
        found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        faults += [f"{scheme}: {_told(one)}" for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return faults


def _told(violation: dict[str, Any]) -> str:
    node = violation["nodes"][0]
    return f"{violation['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"


@asynccontextmanager
async def table(dsn: str) -> AsyncIterator[Table]:
    with closing(Table(dsn)) as opened:
        yield opened
