"""Streams and polls that pass through a proxy: nothing is held back, and nothing of them is changed."""

import asyncio

import aiohttp
import pytest

from tests.proxies.fronts import Front
from tests.system.clients import Answer, open_stream, poll
from tests.system.tables import write_orders
from tests.waiting import eventually

pytestmark = pytest.mark.system

# What a proxy passes on takes milliseconds, on a machine under load perhaps seconds; what it keeps comes with the next
# heartbeat, after most of a minute.
AT_ONCE_S = 30.0


async def test_stream_opens_at_once_and_passes_each_event_as_it_happens(
    database: str, front: Front, session: aiohttp.ClientSession
) -> None:
    """Its first bytes and later each event by itself, neither compressed nor to be kept."""
    async with asyncio.timeout(AT_ONCE_S), open_stream(session, front, "ann") as stream:
        assert [frame.event for frame in await stream.until("live")] == ["retry", "snapshot-end", "live"]
        for _ in range(3):
            await asyncio.to_thread(write_orders, database, "ann", 1)
            assert [frame.event for frame in await stream.until("order")] == ["order"]
        headers = stream.response.headers
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/event-stream", "no-store, no-transform")
    assert "Content-Encoding" not in headers


async def test_poll_keeps_its_tag_and_its_time(database: str, front: Front, session: aiohttp.ClientSession) -> None:
    """A client that takes gzip gets the tag to send back, is answered 304 by it, and told how long it waits."""
    await asyncio.to_thread(write_orders, database, "ann", 200)

    async def numbered() -> Answer | None:
        # The orders are in the snapshot as soon as they are committed, their events a moment later.
        answer = await poll(session, front, "ann")
        return answer if answer.cursor.endswith(".200") else None

    full = await eventually(numbered)
    assert full.headers["ETag"] == f'W/"{full.body["cursor"]}"'
    assert "Content-Encoding" not in full.headers
    nothing = await poll(session, front, "ann", full.cursor, wait_s=1)
    assert (nothing.status, nothing.headers["ETag"]) == (304, full.headers["ETag"])
    assert nothing.headers["Preference-Applied"] == "wait=1"


async def test_held_poll_is_answered_as_something_happens(
    database: str, front: Front, session: aiohttp.ClientSession
) -> None:
    """Not when its time is up."""
    cursor = (await poll(session, front, "ann")).cursor
    async with asyncio.timeout(AT_ONCE_S):
        held = asyncio.create_task(poll(session, front, "ann", cursor, wait_s=50))
        await asyncio.to_thread(write_orders, database, "ann", 1)
        answer = await held
    assert (answer.status, [event["event"] for event in answer.body["events"]]) == (200, ["order"])
