"""What a feed acknowledges over real sockets, and that it is no trouble of the feed's; which events and when is in
`tests/client_cases`."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from orderstream.client import Feed, Limits
from tests.client import script as s
from tests.client.followed import followed
from tests.client.script import Script, at
from tests.waiting import eventually

POLLED = {"cursor": at(5), "events": [{"id": at(5), "event": "order", "data": {"order": s.row("a")}}], "more": False}


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with s.running(Script()) as running:
        yield running


def new_feed(script: Script, **limits: float) -> Feed:
    return Feed(script.url, "jwt", limits=Limits(**limits))  # type: ignore[arg-type]


def knows(feed: Feed, *ids: str) -> Callable[[], bool]:
    return lambda: set(ids) <= set(feed.orders)


async def test_live_event_of_a_stream_is_acknowledged_with_the_jwt_of_the_stream(script: Script) -> None:
    """Not the snapshot, not the replay; and of a burst the first only."""
    burst = [s.order(seq, f"b{seq}") for seq in range(6, 12)]
    script.streams = [s.stream(s.snapshot(4), s.order(5, "a"), s.live(5), *burst)]
    feed = new_feed(script)
    async with followed(feed):
        await eventually(knows(feed, "b11"))
        await eventually(lambda: script.acks)
    assert script.acks == [{"cursor": at(6), "transport": "sse"}]
    asked = script.ack_requests[0]
    assert (asked["Authorization"], asked["Content-Type"]) == ("Bearer jwt", "application/json")


async def test_live_event_of_a_poll_is_acknowledged_as_such(script: Script) -> None:
    """It came after a poll that was answered."""
    script.streams = [s.status(502)] * 3
    script.polls = [s.body({"cursor": at(4), "orders": [], "executions": []}), s.body(POLLED)]
    async with followed(new_feed(script, backoff_s=0.001)):
        await eventually(lambda: script.acks)
    assert script.acks == [{"cursor": at(5), "transport": "poll"}]


async def test_nothing_is_acknowledged_when_the_limit_is_0(script: Script) -> None:
    """Whoever does not want to be measured is not."""
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.order(5, "a"), hold=False), s.stream(s.live(5))]
    feed = new_feed(script, ack_every_s=0, backoff_s=0.001)
    async with followed(feed):
        await eventually(lambda: len(script.stream_requests) == 2 and feed.connection.state == "live")
    assert script.acks == []


async def reset(request: web.Request) -> web.StreamResponse:
    """The connection breaks instead of an answer."""
    assert request.transport is not None
    request.transport.abort()
    return await s.held(request)


@pytest.mark.parametrize("answer", [s.status(500), s.status(401), s.status(204), s.held, reset])
async def test_feed_goes_on_whatever_becomes_of_an_acknowledgement(script: Script, answer: s.Answer) -> None:
    """Refused, broken or never answered: the same stream brings the next events, and a later one is acknowledged."""
    texts: asyncio.Queue[str] = asyncio.Queue()
    seqs = itertools.count(6)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write((await texts.get()).encode())

    def acknowledged_again() -> bool:
        # Whether the first is over, nobody is told: the next that may be acknowledged is the one after it.
        if feed.cursor == at(written[-1]):
            written.append(next(seqs))
            texts.put_nowait(s.order(written[-1], "a", version=written[-1]))
        return len(script.acks) == 2

    feed, written = new_feed(script, ack_every_s=0.001, first_byte_s=3.0), [5]
    script.ack, script.streams = answer, [stream]
    texts.put_nowait(s.snapshot(4) + s.live(4) + s.order(5, "a"))
    async with followed(feed):
        await eventually(acknowledged_again)
    assert script.acks[0]["cursor"] == at(5)
    assert len(script.stream_requests) == 1
