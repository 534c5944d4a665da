"""The status page in Chromium, before a service whose canary moves everything that there is to see."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.site import DESKTOP, device, serious_faults
from tests.clients.chromium import launched
from tests.services import ServiceProcess
from tests.system.tables import execute

pytestmark = pytest.mark.system

NARROW = {"viewport": {"width": 320, "height": 640}}
# The tests share their cores: a loop that is late is the one fault that they may cause.
WELL = re.compile("All is well|it has more to do than it has time for")
# Title of a card -> its figures, in whatever unit; NaN for a dash.
FIGURES = """() => Object.fromEntries([...document.querySelectorAll(".card:has(dd)")].map((card) => [
    card.querySelector("h2").textContent,
    [...card.querySelectorAll("dd")].map((figure) => parseFloat(figure.textContent)),
]))"""


@pytest.fixture
async def service(database: str) -> AsyncIterator[ServiceProcess]:
    async with ServiceProcess(database, canary_user="canary", canary_every_s=0.2, canary_late_s=5.0) as served:
        await served.ready()
        yield served


@pytest.fixture(params=[DESKTOP, NARROW], ids=["desktop", "narrow"])
async def page(service: ServiceProcess, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    async with launched() as browser, device(browser, service.admin_url, request.param) as context:
        opened = await context.new_page()
        await opened.goto("/")
        yield opened


async def test_numbers_and_plots_move(page: Page, service: ServiceProcess) -> None:
    """Events are sent, the canary arrives, its connections are open; and when the service is gone, the page says so."""
    await page.wait_for_function(
        f"""() => {{
            const figures = ({FIGURES})();
            return figures["Events a second"].every((rate) => rate > 0)
                && figures["Canary, change to arrival"].every((took) => took > 0)
                && figures["Open connections"].every((open) => open >= 1);
        }}"""
    )
    line = page.locator(".card:has-text('Events a second') path.first")
    before = await line.get_attribute("d")
    await expect(line).not_to_have_attribute("d", before or "")
    await expect(page.get_by_role("status")).to_contain_text(WELL)
    await expect(page.get_by_text("This process leads.")).to_be_visible()
    service.kill()
    await expect(page.get_by_role("status")).to_contain_text("what is below is old; tries again")
    assert await serious_faults(page) == []


async def test_step_to_blame_stands_on_top(page: Page, service: ServiceProcess, database: str) -> None:
    """Triggers that are off: every gauge is well, and the canary does not come back."""
    await expect(page.get_by_role("status")).to_contain_text(WELL)
    execute(database, "alter table public.orders disable trigger user")
    # What was late before, on a busy machine, is to blame for as long as the page looks back.
    await expect(page.get_by_role("status")).to_contain_text("Triggers: ", timeout=90_000)
    await expect(page.get_by_role("status")).to_contain_text("OrderstreamCanaryLate")
    assert await serious_faults(page) == []


async def test_page_has_no_serious_fault_and_does_not_scroll_sideways(page: Page) -> None:
    """As axe-core sees it, in light and in dark, at 320 px too."""
    await expect(page.get_by_role("status")).to_contain_text(WELL)
    assert await serious_faults(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
