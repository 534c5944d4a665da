"""Pictures of the page of a demo that runs, to be looked at; the good ones stand in the README and the docs.

Starts nothing but a Prometheus for the dashboard: run `orderstream demo` beside it. The browser is the machine's
Chromium.
"""

import argparse
import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright

from scripts import dashboard, following, prometheus

# Which device it is, the service learns from this.
ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"
)
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "user_agent": ANDROID,
}
SMALL = {"viewport": {"width": 320, "height": 640}, "device_scale_factor": 2}
DESKTOP = {"viewport": {"width": 1360, "height": 860}}
MIDDLE = {"viewport": {"width": 960, "height": 720}}
STREAM, POLL = "**/v1/orders/stream*", "**/v1/orders/poll*"
WIDE = {"width": 1360, "height": 720}
# Waits are drawn by chance: this page draws long ones, so that a picture of a wait can be taken.
LONG_WAITS = "Math.random = () => 0.99"
STATES = ("connecting", "polling", "offline", "signed-out")

# What stands in the README: name -> pictures side by side, as wide and as high as this, in CSS pixels.
README = {
    "phone": (("phone-list-light", "phone-order-dark", "phone-place-light"), 390, 844),
    "connection": (tuple(f"state-{name}-light" for name in STATES), 390, 348),
    "desktop-light": (("desktop-order-light",), 1360, 860),
    "desktop-dark": (("desktop-order-dark",), 1360, 860),
    # In docs/operations.md.
    "status": (("status-light",), WIDE["width"], WIDE["height"]),
}
# What the plots of the status page show.
LOAD_S = 120


@asynccontextmanager
async def opened(browser: Browser, url: str, user: str, kind: dict[str, Any], scheme: str) -> AsyncIterator[Page]:
    """A page with the orders of `user` on it."""
    context = await browser.new_context(**kind, color_scheme=scheme, base_url=url, locale="en-GB")
    try:
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_role("button", name=user, exact=True).click()
        await page.locator(".connection[data-state=live]").wait_for()
        await page.locator(".row").first.wait_for()
        yield page
    finally:
        await context.close()


async def fill_form(page: Page) -> None:
    await page.get_by_label("Symbol", exact=True).last.select_option("NVDA")
    await page.get_by_label("Type").select_option("limit")
    await page.get_by_label("Quantity").fill("25")
    await page.get_by_label("Limit price").fill("1.00")
    await page.locator("form button[type=submit]").click()
    await page.locator("form .said:not(:empty)").wait_for()


async def block(context: BrowserContext, *patterns: str) -> None:
    async def refuse(route: Route) -> None:
        await route.abort()

    for pattern in patterns:
        await context.route(pattern, refuse)


async def state(page: Page, name: str, said: str, path: Path) -> None:
    line = page.locator(f".connection[data-state={name}]")
    await line.filter(has_text=said).wait_for(timeout=60_000)
    await page.screenshot(path=path, animations="disabled")


async def connection_states(browser: Browser, url: str, user: str, folder: Path, scheme: str) -> None:
    """Reconnecting, polling and offline by blocking; signed out by the other device."""

    def path(name: str) -> Path:
        return folder / f"state-{name}-{scheme}.png"

    async with opened(browser, url, user, PHONE, scheme) as page:
        await page.add_init_script(LONG_WAITS)
        await block(page.context, STREAM)
        await page.reload()
        await state(page, "connecting", "Reconnecting", path("connecting"))
        await state(page, "polling", "Asks", path("polling"))
        await block(page.context, POLL)
        await page.evaluate("window.dispatchEvent(new Event('online'))")
        await state(page, "offline", "Tries again in", path("offline"))
    async with (
        opened(browser, url, user, PHONE, scheme) as page,
        opened(browser, url, user, DESKTOP, scheme) as other,
    ):
        await other.get_by_role("link", name="Devices").click()
        await other.get_by_role("button", name="Sign out: Phone or tablet").first.wait_for()
        await other.screenshot(path=folder / f"desktop-devices-{scheme}.png")
        while await page.locator(".connection[data-state=signed-out]").count() == 0:
            await other.get_by_role("button", name="Sign out: Phone or tablet").first.click()
            await page.wait_for_timeout(1500)
        await state(page, "signed-out", "another device", path("signed-out"))


async def pages(browser: Browser, url: str, user: str, folder: Path, name: str, kind: dict[str, Any]) -> None:
    for scheme in ("light", "dark"):
        async with opened(browser, url, user, kind, scheme) as page:

            async def shoot(what: str, page: Page = page, scheme: str = scheme) -> None:
                await page.wait_for_timeout(500)
                await page.evaluate("scrollTo(0, 0)")
                await page.screenshot(path=folder / f"{name}-{what}-{scheme}.png", animations="disabled")

            await page.wait_for_timeout(2500)
            await shoot("list")
            for what, status in {"order": "partially_filled", "refused": "rejected"}.items():
                rows = page.locator(f".row:has(.chip[data-status={status}])")
                await (rows if await rows.count() else page.locator(".row")).first.click()
                await page.locator(".timeline li").first.wait_for()
                await shoot(what)
                await page.goto("/")
                await page.locator(".row").first.wait_for()
            await page.goto("/devices")
            await page.locator(".devices li").first.wait_for()
            await shoot("devices")
            await page.goto("/place")
            await page.locator("option[value=NVDA]").first.wait_for(state="attached")
            await fill_form(page)
            await shoot("place")
            await page.get_by_role("button", name="Sign out").click()
            await page.get_by_role("button", name=user, exact=True).wait_for()
            await shoot("sign-in")


async def status(browser: Browser, url: str, admin_url: str, folder: Path) -> None:
    """The status page, once its plots are full, while every user of the demo follows their orders."""
    async with following.everybody(url):
        page = await browser.new_page(viewport=WIDE)
        await page.goto(admin_url)
        await page.wait_for_timeout(LOAD_S * 1000)
        await page.locator("[data-state=well]").wait_for()
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            for name, viewport in {"": WIDE, "-phone": PHONE["viewport"]}.items():
                await page.set_viewport_size(viewport)
                await page.screenshot(path=folder / f"status{name}-{scheme}.png", full_page=True)


async def grafana(browser: Browser, url: str, admin_url: str, folder: Path) -> None:
    """What a Prometheus answers to the dashboard's queries, drawn by `dashboard`, not by Grafana."""
    async with prometheus.looking_at(admin_url) as prometheus_url, following.everybody(url):
        await asyncio.sleep(LOAD_S)
        drawn = await dashboard.page(prometheus_url, LOAD_S)
    page = await browser.new_page(viewport={"width": 24 * dashboard.COLUMN_PX, "height": 600})
    await page.set_content(drawn)
    await page.screenshot(path=folder / "dashboard.png", full_page=True)


async def compose(browser: Browser, folder: Path) -> None:
    """The README's pictures, of those that were taken."""
    (folder / "readme").mkdir(exist_ok=True)
    for name, (parts, width, height) in README.items():
        paths = [folder / f"{part}.png" for part in parts]
        if not all(path.exists() for path in paths):
            continue
        page = await browser.new_page(viewport={"width": len(parts) * (width + 24) - 24, "height": height})
        shown = "".join(
            f'<img src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}" width={width}>'
            for path in paths
        )
        await page.set_content(f'<body style="margin: 0; display: flex; gap: 24px; align-items: start">{shown}')
        await page.screenshot(path=folder / "readme" / f"{name}.png", omit_background=True)
        await page.close()


async def main(url: str, admin_url: str, user: str, folder: Path, only: str) -> None:
    kinds = {"phone": PHONE, "desktop": DESKTOP, "small": SMALL, "middle": MIDDLE}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--disable-gpu"])
        for name, kind in kinds.items():
            if not only or name in only.split(","):
                await pages(browser, url, user, folder, name, kind)
        if not only or "states" in only.split(","):
            for scheme in ("light", "dark"):
                await connection_states(browser, url, user, folder, scheme)
        for name, take in {"dashboard": grafana, "status": status}.items():
            if name in only.split(","):
                await take(browser, url, admin_url, folder)
        await compose(browser, folder)
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--admin-url", default="http://127.0.0.1:8081")
    parser.add_argument("--user", default="cara")
    parser.add_argument(
        "--only",
        default="",
        help="phone, desktop, small, middle, states; with commas; status and dashboard are taken only if named",
    )
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(chosen.url, chosen.admin_url, chosen.user, chosen.folder, chosen.only))
