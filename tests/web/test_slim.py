"""A connection that is handed over: whatever happens before, at that moment and after it, a stream ends once and leaves
nothing behind. On both loops, which call protocols each in their own way."""

import asyncio
import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from orderstream.errors import Unavailable
from orderstream.web.limits import LIMITS
from orderstream.web.seats import METER, SESSIONS
from orderstream.web.stream import EventStreamResponse
from tests.waiting import eventually
from tests.web.edge import Edge, request
from tests.web.loops import hurried_on_both_loops, of_aiohttp, on_both_loops

ASKED = request("/v1/orders/stream", X_Request_Id="r1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")


@contextmanager
def between(
    monkeypatch: pytest.MonkeyPatch, do: Callable[[web.BaseRequest], object], turns: int = 0
) -> Iterator[list[Any]]:
    """`do` happens when the head is written, and the connection is handed over so many turns of the loop later. Gives
    what is logged."""
    prepare = EventStreamResponse.prepare

    async def prepared(self: EventStreamResponse, asked: web.BaseRequest) -> Any:
        first = not self.prepared
        writer = await prepare(self, asked)
        if first:
            do(asked)
            for _ in range(turns):
                await asyncio.sleep(0)
        return writer

    with monkeypatch.context() as patch, capture_logs() as lines:
        patch.setattr(EventStreamResponse, "prepare", prepared)
        yield lines


def left(served: Edge) -> tuple[int, ...]:
    """What is counted as open: seats, deliveries of sessions, subscribers, and the gauge."""
    registry = served.app[METER].registry  # type: ignore[attr-defined]
    opened = registry.get_sample_value("orderstream_streams_open", {"transport": "sse"}) or 0
    deliveries = served.app[SESSIONS].of_user("u1")
    return served.app[LIMITS].open_streams, len(deliveries), len(list(served.hub.subscribers())), int(opened)


def ends(lines: list[Any]) -> list[str]:
    return [line["reason"] for line in lines if line["event"] == "stream-closed"]


def errors(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["log_level"] not in ("info", "debug")]


@on_both_loops
async def test_nothing_of_the_request_is_left_once_a_stream_is_open(served: Edge) -> None:
    """No task, no request and no parser; nor is the collector needed for it."""
    gc.collect()
    gc.disable()
    try:
        tasks, before = asyncio.all_tasks(), of_aiohttp()
        await served.stream()
        await eventually(lambda: not asyncio.all_tasks() - tasks)
        assert of_aiohttp() <= before
    finally:
        gc.enable()


@hurried_on_both_loops(keepalive_timeout_s=1.0)
async def test_stream_outlives_what_aiohttp_waits_for_the_next_request(served: Edge) -> None:
    """Its timers are gone with it; events still come."""
    line = await served.stream()
    silence = asyncio.ensure_future(line.until(b"event: order\n"))
    await asyncio.wait([silence], timeout=1.3)
    served.store.place("u1")
    assert (await silence).endswith(b"event: order\n")


@on_both_loops
async def test_stream_ends_once_when_its_client_leaves(served: Edge) -> None:
    """One line, named as its request was, and nothing is counted any more."""
    with capture_logs() as lines:
        line = await served.line()
        line.send(ASKED)
        await line.until(b"event: live\n")
        await line.close()
        await eventually(lambda: left(served) == (0, 0, 0, 0))
    [closed] = [line for line in lines if line["event"] == "stream-closed"]
    assert (closed["reason"], closed["request_id"], closed["trace_id"]) == ("client-gone", "r1", "a" * 32)
    assert closed["cursor"] == "0a0a0a0a.0"


@pytest.mark.parametrize("turns", range(4))
@on_both_loops
async def test_client_that_leaves_while_its_stream_opens_leaves_nothing(
    served: Edge, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """Whether the loop knows it before the hand-over, with it or after it; and it is nobody's error."""
    client = socket.create_connection(("127.0.0.1", served.port))
    with between(monkeypatch, lambda _: client.close(), turns) as lines:
        client.sendall(ASKED)
        await eventually(lambda: client.fileno() == -1 and not served.connections and not any(left(served)))
    assert set(ends(lines)) <= {"client-gone"}
    assert (errors(lines), left(served)) == ([], (0, 0, 0, 0))


@pytest.mark.parametrize("turns", range(3))
@on_both_loops
async def test_connection_that_was_closed_before_the_hand_over_becomes_no_stream(
    served: Edge, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """By whom ever: the loop closes what the client reset, a deadline what is slow."""
    with between(monkeypatch, lambda asked: asked.transport and asked.transport.abort(), turns) as lines:
        line = await served.line()
        line.send(ASKED)
        await line.rest()
        await eventually(lambda: not served.connections and not any(left(served)))
    assert (ends(lines), errors(lines), left(served)) == ([], [], (0, 0, 0, 0))


@on_both_loops
async def test_requests_behind_a_stream_are_not_answered_and_do_not_hide_its_end(served: Edge) -> None:
    """More than aiohttp reads at a time: the answer to the first said that it is the last."""
    with capture_logs() as lines:
        line = await served.line()
        line.send(ASKED + request("/v1/orders") * 100)
        got = await line.until(b"event: live\n")
        await line.close()
        await eventually(lambda: ends(lines))
    assert got.count(b"HTTP/1.1 ") == 1
    assert (left(served), errors(lines)) == ((0, 0, 0, 0), [])


@on_both_loops
async def test_what_a_client_goes_on_to_send_is_dropped_up_to_a_bound(served: Edge) -> None:
    """Then the stream ends: nobody reads it, and it costs as much as if somebody did."""
    with capture_logs() as lines:
        line = await served.stream()
        line.send(b"x" * 60_000)
        served.store.place("u1")
        await line.until(b"event: order\n")
        assert ends(lines) == []
        line.send(b"x" * 6_000)
        await line.rest()
    assert ends(lines) == ["too-many-bytes"]
    assert left(served) == (0, 0, 0, 0)


@on_both_loops
async def test_drain_before_the_hand_over_is_heard(served: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream was in no list when the others were told."""
    with between(monkeypatch, lambda _: list(served.hub.drain())) as lines:
        line = await served.line()
        line.send(ASKED)
        got = await line.rest()
    assert got.count(b"event:") == got.count(b"event: goaway\n") == 1
    assert (ends(lines), left(served)) == (["overload"], (0, 0, 0, 0))


@on_both_loops
async def test_revocation_before_the_hand_over_is_heard(served: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told, and never reset: nothing was sent yet that the client might not have."""
    everybody = {"is_revoked": lambda identity: True}
    with between(monkeypatch, lambda _: vars(served.app[SESSIONS]).update(everybody)) as lines:
        line = await served.line()
        line.send(ASKED)
        got = await line.rest()
    assert b'{"reason":"session-revoked","reconnect":false,"after_ms":0}' in got
    assert (ends(lines), left(served)) == (["session-revoked"], (0, 0, 0, 0))


@on_both_loops
async def test_network_that_acknowledges_nothing_is_given_up(served: Edge) -> None:
    """By the kernel, in `send_timeout_s`, and little of what is unsent is the kernel's: told to the listener."""
    await served.stream()
    [subscriber] = served.hub.subscribers()
    own = subscriber.outlet._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    given_up_ms = int(served.connections.settings.send_timeout_s * 1000)
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == given_up_ms
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 131_072
    assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


@hurried_on_both_loops(send_timeout_s=0.5)
async def test_client_that_does_not_take_its_goaway_is_reset(served: Edge) -> None:
    """In `send_timeout_s`, as any that does not read; its stream was over before."""
    with capture_logs() as lines, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", served.port))
        client.sendall(ASKED)
        [subscriber] = await eventually(lambda: list(served.hub.subscribers()))
        transport = subscriber.outlet._transport  # type: ignore[attr-defined]
        # Some kernels give such a client up by themselves.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)
        # Less than what would be cut off for being too much.
        while not transport.get_write_buffer_size():
            served.store.place("u1", reason="x" * 30_000)
            await asyncio.sleep(0.001)
        subscriber.outlet.fail(Unavailable("gone"))
        assert left(served) == (0, 0, 0, 0)
        assert served.connections
        await eventually(lambda: not served.connections)
    assert ends(lines) == ["overload"]
