"""The status page on the admin port: its files, its stream, and how many may look."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import msgspec
import pytest

from orderstream.metrics import PrometheusMeter
from orderstream.metrics.status import Reading, Watch
from orderstream.web.admin import make_admin_app
from orderstream.web.server import Server
from orderstream.web.status import MAX_VIEWERS
from tests.ports import free_port
from tests.waiting import PATIENCE_S, eventually


class CountedWatch(Watch):
    """Counts its readings in `looks`."""

    looks = 0

    def look(self) -> Reading:
        self.looks += 1
        return super().look()


class Admin:
    """An admin port whose streams tell a reading every 50 ms."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        registry = PrometheusMeter().registry
        self.watch = CountedWatch(registry, lambda: {"database": None})
        app = make_admin_app(registry, dict, self.watch.look, every_s=0.05)
        self.server = Server(app, drain_timeout_s=60)


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    served = Admin()
    await served.server.start("127.0.0.1", served.port, key="admin_listen")
    yield served
    await served.server.stop()


@pytest.fixture
async def client(admin: Admin) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(admin.url) as session:
        yield session


async def told(answer: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    """The next message's readings."""
    frame = await answer.content.readuntil(b"\n\n")
    return list(msgspec.json.decode(frame.removeprefix(b"data: ")))


async def test_stream_tells_one_reading_after_the_other(client: aiohttp.ClientSession) -> None:
    """JSON on one line each, the later one later."""
    async with client.get("/status/stream") as answer:
        [first], [second] = [await told(answer) for _ in range(2)]
    assert (answer.content_type, first["checks"]) == ("text/event-stream", {"database": None})
    assert first["at_s"] < second["at_s"]


async def test_viewers_share_their_readings_and_the_later_one_begins_with_those_before(
    client: aiohttp.ClientSession,
) -> None:
    """However many look, each reading is made once; whoever opens the page finds its plots filled."""
    async with client.get("/status/stream") as one:
        alone = [reading["at_s"] for _ in range(3) for reading in await told(one)]
        async with client.get("/status/stream") as other:
            before, [after] = await told(other), await told(other)
            both = [reading["at_s"] for _ in range(2) for reading in await told(one)]
    assert [reading["at_s"] for reading in before][: len(alone)] == alone
    assert {reading["at_s"] for reading in [*before, after]} >= {*both}


async def test_viewers_are_turned_away_above_the_limit_and_let_in_below_it(client: aiohttp.ClientSession) -> None:
    """503 with Retry-After; a viewer who leaves makes room."""
    async with AsyncExitStack() as viewers:
        for _ in range(MAX_VIEWERS):
            await viewers.enter_async_context(client.get("/status/stream"))
        async with client.get("/status/stream") as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "10")

    async def let_in() -> bool:
        async with client.get("/status/stream") as answer:
            return answer.status == 200

    await eventually(let_in)


async def test_nothing_is_read_when_nobody_looks(admin: Admin, client: aiohttp.ClientSession) -> None:
    """After the last viewer left, however many turns of the stream's clock pass."""
    async with client.get("/status/stream") as answer:
        await answer.content.readuntil(b"\n\n")
    assert admin.watch.looks > 0

    async def stands_still() -> bool:
        before = admin.watch.looks
        await asyncio.sleep(0.2)
        return before == admin.watch.looks

    await eventually(stands_still)


async def test_stop_does_not_wait_for_viewers(admin: Admin, client: aiohttp.ClientSession) -> None:
    """Their streams end by themselves, long before the drain's time-out."""
    async with client.get("/status/stream") as answer:
        await answer.content.readuntil(b"\n\n")
        async with asyncio.timeout(PATIENCE_S):
            await admin.server.stop()
            await answer.read()


@pytest.mark.parametrize(
    ("path", "content_type"),
    {"/": "text/html", "/status/status.js": "text/javascript", "/status/style.css": "text/css"}.items(),
)
async def test_page_is_served_with_a_policy_that_lets_nothing_in(
    client: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    """Scripts, styles and its stream from the admin port alone."""
    async with client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert (answer.status, answer.content_type) == (200, content_type)
        assert "default-src 'none'; script-src 'self'" in policy
        assert "unsafe" not in policy
