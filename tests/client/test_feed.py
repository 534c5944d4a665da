"""The feed over real sockets, against a server that follows a script."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from orderstream.client import (
    ConnectionChanged,
    Event,
    Feed,
    FeedEnded,
    Limits,
    OrderChanged,
    SignedOut,
    SnapshotTaken,
    State,
)
from tests.client import script as s
from tests.client.script import Script, at
from tests.services import PATIENCE_S


class Sleeps:
    """Waits that take no time, and what they would have taken."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    async def __call__(self, for_s: float) -> None:
        self.asked_s.append(for_s)
        await asyncio.sleep(0)


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with s.running(Script()) as running:
        yield running


@pytest.fixture
def sleeps() -> Sleeps:
    return Sleeps()


@pytest.fixture
def new_feed(script: Script, sleeps: Sleeps) -> Callable[..., Feed]:
    def create(token: Any = "jwt", **options: Any) -> Feed:
        return Feed(script.url, token, **{"random": lambda: 0.5, "sleep": sleeps, **options})

    return create


async def until(feed: Feed, happened: Callable[[Event], bool]) -> list[Event]:
    """The events up to the one that `happened`."""
    told: list[Event] = []
    async with asyncio.timeout(PATIENCE_S), aclosing(aiter(feed)) as events:  # type: ignore[type-var]
        async for event in events:
            told.append(event)
            if happened(event):
                return told
    raise AssertionError("the feed ended")


def is_state(*states: State) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, ConnectionChanged) and event.connection.state in states


def is_order(id: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, OrderChanged) and event.order.id == id


def ids(events: list[Event]) -> list[str]:
    return [event.order.id for event in events if isinstance(event, OrderChanged)]


async def test_a_new_feed_takes_the_snapshot_then_what_came_after_it(script: Script, new_feed: Any) -> None:
    """The plain case: three lines of code, and the orders are there."""
    script.streams = [s.stream(s.snapshot(4, s.row("a")), s.live(4), s.order(5, "b"))]
    feed = new_feed()
    told = await until(feed, is_order("b"))
    assert [type(event) for event in told] == [ConnectionChanged, SnapshotTaken, ConnectionChanged, OrderChanged]
    assert set(feed.orders) == {"a", "b"}
    assert feed.cursor == at(5)


async def test_the_jwt_is_sent_as_a_bearer(script: Script, new_feed: Any) -> None:
    """Never in the URL, where logs would keep it."""
    script.streams = [s.stream(s.snapshot(4), s.live(4))]
    await until(new_feed("secret"), is_state(State.LIVE))
    assert script.stream_requests[0]["Authorization"] == "Bearer secret"


async def test_a_feed_resumes_from_its_cursor_when_the_stream_breaks(script: Script, new_feed: Any) -> None:
    """What was missed is replayed; what was told is not told again."""
    script.streams = [
        s.stream(s.snapshot(4), s.live(4), s.order(5, "a"), hold=False),
        s.stream(s.order(5, "a"), s.order(6, "b"), s.live(6)),
    ]
    told = await until(new_feed(), is_order("b"))
    assert script.stream_requests[1]["Last-Event-ID"] == at(5)
    assert ids(told) == ["a", "b"]


async def test_a_feed_read_again_goes_on_from_where_it_was(script: Script, new_feed: Any) -> None:
    """A `break` closes the connection and loses nothing."""
    script.streams = [s.stream(s.snapshot(4), s.live(4)), s.stream(s.order(5, "a"), s.live(5))]
    feed = new_feed()
    await until(feed, is_state(State.LIVE))
    assert feed.connection.state is State.OFFLINE
    assert ids(await until(feed, is_order("a"))) == ["a"]


async def test_long_poll_carries_on_from_the_same_cursor_when_streams_fail(script: Script, new_feed: Any) -> None:
    """Three failures, then the other transport; one cursor over both."""
    fails = [s.status(502)] * 2
    script.streams = [s.stream(s.snapshot(4), s.live(4), hold=False), *fails]
    script.polls = [s.body(answer(5, "a")), s.body(answer(6, "b"))]
    told = await until(new_feed(), is_order("b"))
    assert script.poll_requests[0]["If-None-Match"] == f'W/"{at(4)}"'
    # The first one is not held: an answer soon, or no polling mode.
    assert [request["Prefer"] for request in script.poll_requests[:2]] == ["wait=0", "wait=25"]
    assert told[-1].transport == "long-poll"


def answer(seq: int, id: str) -> dict[str, Any]:
    """A poll's answer of one order event."""
    change = {"order": s.row(id, "filled", 2), "exec_type": "trade"}
    return {"cursor": at(seq), "events": [{"id": at(seq), "event": "order", "data": change}], "more": False}


async def test_long_poll_is_taken_at_once_when_a_proxy_keeps_the_stream(script: Script, new_feed: Any) -> None:
    """No first byte in time: no use in trying the same three times."""
    # A poll is given up as soon, and asked again.
    script.polls = [s.body({"cursor": at(4), "orders": [s.row("a")], "executions": []})] * 100
    feed = new_feed(limits=Limits(first_byte_s=0.5))
    await until(feed, lambda event: isinstance(event, SnapshotTaken))
    assert set(feed.orders) == {"a"}


async def test_a_silent_network_is_offline_when_the_first_poll_has_no_answer_either(
    script: Script, new_feed: Any
) -> None:
    """Not after all the time that a poll may be held for."""
    script.streams = [s.stream(s.snapshot(4), s.live(4))]
    await until(new_feed(limits=Limits(silence_s=0.1, first_byte_s=3.0)), is_state(State.OFFLINE))
    assert len(script.poll_requests) == 1


async def test_the_stream_is_taken_back_when_it_holds_again(script: Script, new_feed: Any) -> None:
    """Both transports bring order 5 on the way; it is told once."""
    script.streams = [s.status(502)] * 3 + [s.stream(s.order(5, "a"), s.live(5), s.order(6, "b"))]
    script.polls = [s.body(answer(5, "a"))]
    feed = new_feed(cursor=at(4))
    told = await until(feed, is_order("b"))
    assert ids(told) == ["a", "b"]
    assert feed.connection.state is State.OFFLINE
    states = [event.connection.state for event in told if isinstance(event, ConnectionChanged)]
    assert states == [State.CONNECTING, State.POLLING, State.LIVE]


async def test_nobody_answering_is_offline_and_tried_again(script: Script, new_feed: Any) -> None:
    """Neither transport: the feed says so and goes on trying both."""
    script.streams = [s.status(502)] * 3
    script.polls = [s.status(503, **{"Retry-After": "7"}), s.body(answer(5, "a"))]
    told = await until(new_feed(cursor=at(4)), is_state(State.OFFLINE))
    assert told[-1].cause == "overload"  # type: ignore[attr-defined]


async def test_a_hole_is_fetched_again_when_a_seq_is_missing(script: Script, new_feed: Any) -> None:
    """Event 7 after 5 is not applied; 6 and 7 come with the replay."""
    script.streams = [
        s.stream(s.snapshot(5), s.live(5), s.order(7, "b")),
        s.stream(s.order(6, "a"), s.order(7, "b"), s.live(7)),
    ]
    told = await until(new_feed(), is_order("b"))
    assert ids(told) == ["a", "b"]
    assert script.stream_requests[1]["Last-Event-ID"] == at(5)


async def test_a_heartbeat_ahead_of_us_is_a_hole_after_its_grace(script: Script, new_feed: Any) -> None:
    """The server knows of 6 and nothing brought it."""
    script.streams = [
        s.stream(s.snapshot(5), s.live(5), s.heartbeat(6)),
        s.stream(s.order(6, "a"), s.live(6)),
    ]
    told = await until(new_feed(), is_order("a"))
    assert ids(told) == ["a"]


async def test_a_reset_takes_the_snapshot_whole(script: Script, new_feed: Any) -> None:
    """An order that is not in it is gone, although it was changed before."""
    reset = s.frame("reset", {"reason": "epoch-changed"})
    script.streams = [
        s.stream(s.snapshot(5, s.row("a"), s.row("b")), s.live(5), hold=False),
        s.stream(reset, s.snapshot(2, s.row("b")), s.live(2)),
    ]
    feed = new_feed()
    told = await until(feed, lambda event: isinstance(event, SnapshotTaken) and event.reset is not None)
    assert told[-1].reset == "epoch-changed"  # type: ignore[attr-defined]
    assert set(feed.orders) == {"b"}
    assert feed.cursor == at(2)


async def test_a_malformed_event_is_counted_and_repaired_by_a_snapshot(script: Script, new_feed: Any) -> None:
    """The next stream is opened without a cursor."""
    script.streams = [
        s.stream(s.snapshot(5, s.row("a")), s.live(5), s.frame("order", '{"order":', at(6))),
        s.stream(s.snapshot(6, s.row("b")), s.live(6)),
    ]
    feed = new_feed()
    await until(feed, lambda event: event.id == at(6))
    assert feed.malformed == 1
    assert "Last-Event-ID" not in script.stream_requests[1]
    assert set(feed.orders) == {"b"}


async def test_an_unknown_event_moves_the_cursor_and_is_not_told(script: Script, new_feed: Any) -> None:
    """A later server's events have numbers too."""
    strange = s.frame("statement", {"pages": 3}, at(5)) + s.frame("advice", {"what": "nothing"})
    script.streams = [s.stream(s.snapshot(4), s.live(4), strange, s.order(6, "a"))]
    feed = new_feed()
    assert ids(await until(feed, is_order("a"))) == ["a"]
    assert len(script.stream_requests) == 1


async def test_a_drain_is_waited_out_to_the_millisecond(script: Script, new_feed: Any, sleeps: Sleeps) -> None:
    """The server spread the clients itself."""
    script.streams = [
        s.stream(s.snapshot(4), s.live(4), s.goaway("drain", after_ms=1234), hold=False),
        s.stream(s.order(5, "a"), s.live(5)),
    ]
    await until(new_feed(), is_order("a"))
    assert sleeps.asked_s == [1.234]


async def test_retry_is_the_least_wait_when_a_stream_breaks(script: Script, new_feed: Any, sleeps: Sleeps) -> None:
    """On top of it comes half of a second, which is what random() gives here."""
    script.streams = [
        s.stream("retry: 3000\n", s.snapshot(4), s.live(4), hold=False),
        s.stream(s.order(5, "a")),
    ]
    await until(new_feed(), is_order("a"))
    assert sleeps.asked_s == [3.5]


@pytest.mark.parametrize(("reason", "error"), [("session-revoked", SignedOut), ("too-many-connections", FeedEnded)])
async def test_a_goaway_for_good_ends_the_feed_with_its_reason(
    script: Script, new_feed: Any, reason: str, error: type[FeedEnded]
) -> None:
    """`reconnect: false` is obeyed, and the error's type says whether signing in would help."""
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.goaway(reason, reconnect=False))]
    feed = new_feed()
    with pytest.raises(error, match=reason) as ended:
        await until(feed, lambda event: False)
    assert type(ended.value) is error
    assert feed.connection.state is State.SIGNED_OUT
    assert len(script.stream_requests) == 1


@pytest.mark.parametrize("code", [401, 403, 204])
async def test_a_refused_jwt_ends_the_feed_when_there_is_no_other(script: Script, new_feed: Any, code: int) -> None:
    """A fixed token cannot get better."""
    script.streams = [s.status(code)]
    with pytest.raises(SignedOut):
        await until(new_feed(), lambda event: False)


class Tokens:
    """Gives jwt-1, jwt-2 …"""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        self.given += 1
        return f"jwt-{self.given}"


async def test_a_401_is_answered_with_a_new_jwt_once(script: Script, new_feed: Any) -> None:
    """The second refusal in a row is believed."""
    script.streams = [s.status(401), s.status(401)]
    with pytest.raises(SignedOut):
        await until(new_feed(Tokens()), lambda event: False)
    assert [asked["Authorization"] for asked in script.stream_requests] == ["Bearer jwt-1", "Bearer jwt-2"]


async def test_an_expired_jwt_is_replaced_and_the_stream_goes_on(script: Script, new_feed: Any) -> None:
    """`goaway auth-expired`: a new JWT, the same cursor."""
    script.streams = [
        s.stream(s.snapshot(4), s.live(4), s.goaway("auth-expired"), hold=False),
        s.stream(s.order(5, "a"), s.live(5)),
    ]
    assert ids(await until(new_feed(Tokens()), is_order("a"))) == ["a"]
    assert script.stream_requests[1]["Authorization"] == "Bearer jwt-2"
    assert script.stream_requests[1]["Last-Event-ID"] == at(4)


def jwt(expires_at: float) -> str:
    """Unsigned, since a client cannot check a signature anyway."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "u", "exp": expires_at}).encode()).decode()
    return f"e30.{claims.rstrip('=')}.x"


async def test_a_new_jwt_is_fetched_before_the_old_one_ends(script: Script, new_feed: Any, sleeps: Sleeps) -> None:
    """At a minute before the end, without being asked."""
    fetched: list[str] = []

    async def token() -> str:
        fetched.append(jwt(1100.0 if not fetched else 9000.0))
        return fetched[-1]

    clock = iter([1000.0] * 6)
    script.streams = [s.stream(s.snapshot(4), s.live(4))]
    feed = new_feed(token, clock=lambda: next(clock, 1050.0))
    await until(feed, is_state(State.LIVE))
    assert sleeps.asked_s[0] == pytest.approx(40.0)


async def test_an_error_of_the_token_callable_reaches_the_reader(script: Script, new_feed: Any) -> None:
    """A mistake in it must not look like a lost network."""

    async def token() -> str:
        raise LookupError("no such user")

    with pytest.raises(LookupError):
        await until(new_feed(token), lambda event: False)


async def test_a_feed_read_twice_at_once_is_refused(script: Script, new_feed: Any) -> None:
    """Two loops would each see half of the events."""
    feed = new_feed()
    async with aclosing(aiter(feed)) as events:
        await anext(events)
        with pytest.raises(RuntimeError, match="one loop"):
            await anext(aiter(feed))
