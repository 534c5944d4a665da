"""The page as it looks and moves: to a narrow screen, to whom colours are hard, to whom motion is, to an installer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.site import DESKTOP, PHONE, DemoService, Table, device, serious_faults, signed_in, table
from tests.clients.chromium import launched, with_profile

pytestmark = pytest.mark.system

USER = "wendy"
NARROW = {"viewport": {"width": 320, "height": 640}}
# The narrowest on which an order is one line.
ONE_LINE = {"viewport": {"width": 1216, "height": 800}}

# Orders whose words and numbers are as long as the demo's market makes them; one for each colour of a status.
_LONG = """
    insert into public.orders (symbol, asset_class, side, order_type, quantity, filled_quantity, average_price, price,
        stop_price, status, reason_code, reason, user_id, platform)
    select *, 'wendy', 'mobile' from (values
        ('BTC-USD', 'crypto', 'buy', 'stop_limit', 2.12345, 2.12344, 100911.19, 100950.25, 100000.5,
            'partially_filled', null, null),
        ('VBTLX', 'mutual_fund', 'sell', 'market', 25999.123, 25999.123, 9.61, null, null, 'filled', null, null),
        ('VFIAX', 'mutual_fund', 'buy', 'market', 435.974, 0, null, null, null, 'pending_new', null, null),
        ('DOGE-USD', 'crypto', 'sell', 'stop_limit', 650000, 0, null, 0.38467, 0.38001, 'submitted', null, null),
        ('NVDA', 'stock', 'sell', 'stop_limit', 1800, 900, 138.75, 138.25, 138.5, 'pending_cancel', null, null),
        ('KO', 'stock', 'buy', 'limit', 3200, 0, null, 69.25, null, 'cancelled', 'cancelled_by_user', null),
        ('SPY', 'etf', 'buy', 'limit', 420, 0, null, 590.25, null, 'expired', 'day_ended', null),
        ('QQQ', 'etf', 'buy', 'limit', 480, 0, null, 1, null, 'rejected', 'price_out_of_range',
            'Your limit price of $1 is more than 20 %% away from the last price, $512.60.')
    ) long
"""

_CUT = """() => {
    const cut = [];
    const named = (one) => `${one.className || one.tagName}: ${one.textContent.slice(0, 60)}`;
    if (document.documentElement.scrollWidth > innerWidth) cut.push("the page scrolls sideways");
    const measured = document.createElement("canvas").getContext("2d");
    for (const one of document.querySelectorAll("body *:not(.skip, .bar *, legend, noscript, option, optgroup)")) {
        const [box, style] = [one.getBoundingClientRect(), getComputedStyle(one)];
        if (!one.checkVisibility() || box.width === 0) continue;
        if (box.left < 0 || box.right > innerWidth + 0.5) cut.push(`beyond the edge: ${named(one)}`);
        if (style.overflowX !== "visible" && one.scrollWidth > one.clientWidth) cut.push(`cut: ${named(one)}`);
        measured.font = style.font;
        const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        const texts = one.options ? [...one.options].map(({ text }) => text) : one.placeholder ? [one.placeholder] : [];
        for (const text of texts) if (measured.measureText(text).width > room) cut.push(`cut: ${text}`);
    }
    for (const row of document.querySelectorAll(".row")) {
        const pieces = [...row.querySelectorAll("b, small, .filled, .bar, .chip, time")];
        const boxes = pieces.map((one) => [named(one), one.getBoundingClientRect()]);
        for (const [a, one] of boxes)
            for (const [b, other] of boxes) {
                const isBeside = one.right <= other.left || other.right <= one.left;
                const isBelow = one.bottom <= other.top || other.bottom <= one.top;
                if (a < b && !isBeside && !isBelow) cut.push(`one over the other: ${a}, ${b}`);
            }
    }
    return cut;
}"""

# Whether anything was moving, in any frame from now on, or began to: a frame may come late, when it is over.
_WATCH_MOTION = """() => {
    window.moved = new Set();
    document.addEventListener("animationstart", ({ animationName }) => window.moved.add(animationName));
    document.addEventListener("transitionrun", ({ propertyName }) => window.moved.add(propertyName));
    requestAnimationFrame(function frame() {
        for (const one of document.getAnimations()) window.moved.add(one.animationName ?? one.transitionProperty);
        requestAnimationFrame(frame);
    });
}"""


class Site(NamedTuple):
    url: str
    orders: Table
    browser: Browser


@pytest.fixture
async def site(database: str) -> AsyncIterator[Site]:
    async with DemoService(database) as service, table(database) as orders, launched() as browser:
        orders.rows(_LONG)
        await service.ready()
        yield Site(service.url, orders, browser)


async def walk(page: Page) -> AsyncIterator[str]:
    """Every page of the page, by name, each when all is on it that it is about."""
    await page.goto("/")
    await page.get_by_role("button", name=USER, exact=True).wait_for()
    yield "sign-in"
    await page.get_by_role("button", name=USER, exact=True).click()
    await page.get_by_text("That is all of them.").wait_for()
    yield "list"
    await page.locator(".row:has([data-status=partially_filled])").click()
    await page.locator(".timeline li").first.wait_for()
    yield "order at work"
    await page.goto("/")
    await page.locator(".row:has([data-status=rejected])").click()
    await page.locator(".reason p").wait_for()
    yield "order refused"
    await page.get_by_role("link", name="Place").click()
    await page.get_by_label("Quantity").fill("0")
    await page.locator("form button[type=submit]").click()
    await expect(page.get_by_role("alert")).to_contain_text("above zero")
    yield "form refused"
    await page.get_by_role("link", name="Devices").click()
    await page.locator(".devices li").first.wait_for()
    yield "devices"


@pytest.mark.parametrize("kind", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_no_page_has_a_serious_fault(site: Site, kind: dict[str, object]) -> None:
    """As axe-core sees it: names, roles, contrast and order, on every page in light and in dark."""
    async with device(site.browser, site.url, kind) as context:
        page = await context.new_page()
        assert {name: faults async for name in walk(page) if (faults := await serious_faults(page))} == {}


@pytest.mark.parametrize("kind", [NARROW, PHONE, ONE_LINE], ids=["narrow", "phone", "one-line"])
async def test_nothing_is_cut_and_no_page_scrolls_sideways(site: Site, kind: dict[str, object]) -> None:
    """With the longest words and numbers that the market makes, at 320 px too."""
    async with device(site.browser, site.url, kind) as context:
        page = await context.new_page()
        assert {name: cut async for name in walk(page) if (cut := await page.evaluate(_CUT))} == {}


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_nothing_moves_when_motion_is_to_be_reduced(site: Site, motion: str) -> None:
    """No row fades in or slides, no bar grows, no notice rises and no dot breathes; for everybody else they do."""
    async with device(site.browser, site.url, PHONE | {"reduced_motion": motion}) as context:
        page = await signed_in(context, USER)
        await page.evaluate(_WATCH_MOTION)
        (order_id,) = site.orders.insert(USER)
        await page.locator(f".row[href$='{order_id}']").wait_for()
        site.orders.fill(order_id, 4)
        await page.locator(".notice").wait_for()
        await page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        moved = set(await page.evaluate("[...window.moved]"))
    assert moved == (set() if motion == "reduce" else {"appear", "transform", "rise", "breathe"})


async def test_page_can_be_installed(site: Site, tmp_path: Path) -> None:
    """Chromium says so: its manifest and icons are complete, and it takes no service worker."""
    async with with_profile(tmp_path) as context:
        page = await context.new_page()
        await page.goto(site.url)
        session = await context.new_cdp_session(page)
        assert (await session.send("Page.getAppManifest"))["errors"] == []
        assert (await session.send("Page.getInstallabilityErrors"))["installabilityErrors"] == []


async def test_sign_in_page_is_one_column(site: Site) -> None:
    """On a screen that is wide enough for the orders' two."""
    async with device(site.browser, site.url, DESKTOP) as context:
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_role("button", name=USER, exact=True).wait_for()
        middles = await page.evaluate(
            """() => [...document.querySelectorAll(".sign-in > *")]
                .map((one) => one.getBoundingClientRect())
                .filter(({ width }) => width > 0)
                .map(({ left, right }) => Math.round((left + right) / 2))"""
        )
        assert len(middles) > 2
        assert set(middles) == {DESKTOP["viewport"]["width"] // 2}
