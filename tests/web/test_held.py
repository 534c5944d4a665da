"""A connection on which a client polls: what is answered without aiohttp, what goes back to it, and that nothing is
lost or let in on the way."""

import asyncio
import gc
import re

import pytest

from orderstream.web.connection import ConnectionSettings
from orderstream.web.held import HeldPoll
from orderstream.web.limits import LIMITS, LimitSettings
from orderstream.web.seats import AUTHENTICATOR, METER, SESSIONS
from tests.waiting import eventually, let_pass
from tests.web.edge import ORIGIN, Answer, Edge, Line, edge, request
from tests.web.loops import hurried_on_both_loops, of_aiohttp, on_both_loops

_SENT_BEFORE = request("/v1/orders/poll", Prefer="wait=50", If_None_Match='W/"0a0a0a0a.0"')


def asked(seq: int, *, wait_s: int = 50) -> bytes:
    """The same poll each time, but for the number."""
    return _SENT_BEFORE.replace(b"0a0a0a0a.0", b"0a0a0a0a.%d" % seq).replace(b"wait=50", b"wait=%d" % wait_s)


async def answer(line: Line) -> Answer:
    """The next on the line, whole."""
    head = await line.until(b"\r\n\r\n")
    size = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    return Answer(head + (await line.exactly(int(size[1])) if size else b""))


async def held(served: Edge, line: Line, seq: int, *, wait_s: int = 50) -> HeldPoll:
    """Asks, and gives what holds it."""
    line.send(asked(seq, wait_s=wait_s))
    await eventually(lambda: served.app[LIMITS].waiting_polls == 1 and bool(list(served.hub.subscribers())))
    [subscriber] = served.hub.subscribers()
    assert isinstance(subscriber.outlet, HeldPoll)
    return subscriber.outlet


async def polled(served: Edge, line: Line, *, wait_s: int = 50) -> HeldPoll:
    """What held a first poll, which was answered with an event: its connection is idle."""
    poll = await held(served, line, 0, wait_s=wait_s)
    served.store.place("u1")
    await answer(line)
    return poll


def left(served: Edge) -> tuple[int, int, float]:
    registry = served.app[METER].registry  # type: ignore[attr-defined]
    opened = registry.get_sample_value("orderstream_streams_open", {"transport": "poll"}) or 0
    return served.app[LIMITS].waiting_polls, len(list(served.hub.subscribers())), opened


@on_both_loops
async def test_nothing_of_the_request_is_left_while_a_poll_is_held(served: Edge) -> None:
    """No task, no request and no parser; nor is the collector needed for it."""
    gc.collect()
    gc.disable()
    try:
        tasks, before = asyncio.all_tasks(), of_aiohttp()
        await held(served, await served.line(), 0)
        await eventually(lambda: not asyncio.all_tasks() - tasks)
        assert of_aiohttp() <= before
    finally:
        gc.enable()


@on_both_loops
async def test_poll_in_the_same_words_is_not_read_again(served: Edge) -> None:
    """From event to event one protocol holds the connection, and each answer has a name of its own."""
    line = await served.line()
    first = await held(served, line, 0)
    names = set()
    for seq in (1, 2, 3):
        served.store.place("u1")
        told = await answer(line)
        names.add(told.headers["x-request-id"])
        assert (told.status, told.headers["etag"]) == (200, f'W/"0a0a0a0a.{seq}"')
        assert await held(served, line, seq) is first
    assert len(names) == 3


@on_both_loops
async def test_other_request_on_the_connection_is_answered_by_the_application(served: Edge) -> None:
    """And a poll after it is held again."""
    line = await served.line()
    first = await polled(served, line)
    line.send(request("/v1/orders"))
    assert b'"orders":[{' in (await answer(line)).body
    assert await held(served, line, 1) is not first


async def test_request_that_names_itself_is_answered_by_its_name_each_time() -> None:
    """It is read anew, since the next one is named otherwise."""
    async with edge() as served:
        line, named = await served.line(), asked(0).replace(b"Host:", b"X-Request-Id: mine\r\nHost:")
        for seq in range(2):
            line.send(named.replace(b"0a0a0a0a.0", b"0a0a0a0a.%d" % seq))
            await eventually(lambda: bool(list(served.hub.subscribers())))
            served.store.place("u1")
            assert (await answer(line)).headers["x-request-id"] == "mine"


async def test_newest_of_several_tags_counts_each_time() -> None:
    """Wherever it is among them: so these requests are read anew."""
    async with edge() as served:
        line = await served.line()
        for _ in range(4):
            served.store.place("u1")
        for first, second in [(3, 2), (1, 2)]:
            tags = b'W/"0a0a0a0a.%d", W/"0a0a0a0a.%d"' % (first, second)
            line.send(asked(0).replace(b'W/"0a0a0a0a.0"', tags))
            assert (await answer(line)).body.count(b'"event":') == 4 - max(first, second)


async def test_long_request_is_held_but_not_kept() -> None:
    """The next one, though the same, is read."""
    async with edge() as served:
        line, long = await served.line(), asked(0).replace(b"Host:", b"Filler: " + b"x" * 4096 + b"\r\nHost:")
        line.send(long)
        await eventually(lambda: bool(list(served.hub.subscribers())))
        [first] = served.hub.subscribers()
        assert isinstance(first.outlet, HeldPoll)
        served.store.place("u1")
        await answer(line)
        line.send(long)
        assert (await answer(line)).status == 200
        assert first.outlet not in served.connections._open


@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "later"])
async def test_requests_behind_a_poll_are_answered_after_it(at_once: bool) -> None:
    """Whether they came with it or while it was held, in their order."""
    async with edge() as served:
        line, behind = await served.line(), request("/v1/orders") + request("/v1/orders/none")
        if at_once:
            line.send(asked(0) + behind)
            await eventually(lambda: bool(list(served.hub.subscribers())))
        else:
            await held(served, line, 0)
            line.send(behind)
        served.store.place("u1")
        answers = [await answer(line) for _ in range(3)]
    assert [told.status for told in answers] == [200, 200, 404]
    assert answers[0].headers["etag"] == 'W/"0a0a0a0a.1"'


async def test_flood_behind_a_poll_is_left_in_the_kernel_and_answered_after_it() -> None:
    """What is kept of it is bounded, and nothing of it is lost."""
    async with edge() as served:
        line, one = await served.line(), request("/v1/orders/none", None, Filler="x" * 4096)
        poll = await held(served, line, 0)
        line.send(one * 200)
        await eventually(lambda: len(poll._behind) > 65_536)
        assert len(poll._behind) < 2 * 262_144
        served.store.place("u1")
        answers = [await answer(line) for _ in range(201)]
    assert {told.status for told in answers[1:]} == {401}


async def test_limit_9_head_that_began_on_an_idle_polling_connection_has_the_same_time() -> None:
    """It is aiohttp's from its first byte on."""
    async with edge() as served:
        line = await served.line()
        await polled(served, line)
        line.send(asked(1)[:40])
        await served.head_began()
        let_pass(ConnectionSettings().request_head_timeout_s)
        assert await line.rest() == b""


@hurried_on_both_loops(keepalive_timeout_s=1.0)
async def test_idle_polling_connection_is_closed_after_a_while(served: Edge) -> None:
    """As every other, and not while it polls."""
    line = await served.line()
    await held(served, line, 0)
    end = asyncio.ensure_future(line.rest())
    await asyncio.wait([end], timeout=1.2)
    assert not end.done()
    served.store.place("u1")
    assert Answer(await end).status == 200
    assert len(served.connections) == 0


@on_both_loops
async def test_as_many_other_words_around_the_cursor_are_read_anew(served: Edge) -> None:
    """Another user's, on a connection that a proxy shares, may be as long."""
    line = await served.line()
    await polled(served, line)
    line.send(asked(0, wait_s=49))
    assert (await answer(line)).headers["preference-applied"] == "wait=49"


@on_both_loops
async def test_client_that_leaves_while_its_poll_is_held_leaves_nothing(served: Edge) -> None:
    """Neither a seat, nor a subscriber, nor a connection."""
    line = await served.line()
    await held(served, line, 0)
    await line.close()
    await eventually(lambda: (left(served), len(served.connections)) == ((0, 0, 0), 0))


async def test_same_words_of_who_may_not_ask_any_more_are_refused() -> None:
    """A login that was ended, by the application; the connection goes on."""
    async with edge() as served:
        line = await served.line()
        await polled(served, line)
        served.app[AUTHENTICATOR].revoked = lambda identity: True
        line.send(asked(1) * 2)
        assert [(await answer(line)).kind for _ in range(2)] == ["session-revoked"] * 2


@pytest.mark.parametrize(
    "limits",
    [LimitSettings(requests_per_user_per_minute=3), LimitSettings(requests_per_address_per_minute=3)],
    ids=["user", "address"],
)
async def test_limit_6_same_words_are_counted_as_any(limits: LimitSettings) -> None:
    """The fourth is one too many."""
    async with edge(limits=limits) as served:
        line, statuses = await served.line(), []
        for _ in range(4):
            line.send(asked(0, wait_s=0))
            statuses.append((await answer(line)).status)
    assert statuses == [304, 304, 304, 429]


async def test_poll_16_jwt_that_is_remembered_no_more_is_good_for_the_poll_that_it_began() -> None:
    """As a stream's is, unless it ended: the next poll has it verified again."""
    async with edge() as served:
        authenticator, line = served.app[AUTHENTICATOR], await served.line()
        await held(served, line, 0)
        authenticator._verifier._verified.clear()
        served.store.place("u1")
        assert (await answer(line)).status == 200
        assert not authenticator._verifier._verified
        await held(served, line, 1)
        assert authenticator._verifier._verified
        authenticator._verifier._verified.clear()
        revoke(served)
        assert (await answer(line)).kind == "session-revoked"


def revoke(served: Edge) -> None:
    [delivery] = served.app[SESSIONS].of_user("u1")
    served.app[SESSIONS].revoke("u1", delivery.session_id, float("inf"))


async def test_drain_closes_polling_connections_that_are_idle_and_those_that_were_held_after_their_answer() -> None:
    """Nobody's next request meets a process that is gone."""
    async with edge() as served:
        idle, busy = await served.line(), await served.line()
        await polled(served, idle)
        await held(served, busy, 1)
        served.connections.retire()
        for subscriber in served.hub.drain():
            subscriber.outlet.goaway("drain", reconnect=True, after_ms=0)
        assert (await idle.rest(), Answer(last := await busy.rest()).status) == (b"", 304)
        assert b"\r\nConnection: close\r\n" in last


@pytest.mark.parametrize("tag", [None, 'W/"0a0a0a0a.0"', 'W/"0a0a0a0a.1"', '"nonsense"'])
async def test_answers_are_the_same_whoever_holds_the_connection(tag: str | None) -> None:
    """But for the name, the time, and that a connection is closed."""
    async with edge() as served:
        served.store.place("u1")
        sent = {"Origin": ORIGIN, "Prefer": "wait=0", **({} if tag is None else {"If_None_Match": tag})}
        by_aiohttp = await served.ask("/v1/orders/poll", **sent)
        line = await served.line()
        line.send(request("/v1/orders/poll", **sent))
        by_us = await answer(line)
    ours = by_us.headers.keys() | {"connection"}
    assert (by_us.status, by_us.body, ours) == (by_aiohttp.status, by_aiohttp.body, by_aiohttp.headers.keys())
    same = ours - {"connection", "date", "x-request-id"}
    assert {name: by_us.headers[name] for name in same} == {name: by_aiohttp.headers[name] for name in same}


async def test_unavailable_store_is_told_on_a_connection_that_was_handed_over() -> None:
    """503 with a problem, and the connection goes on."""
    async with edge() as served:
        served.store.reachable = False
        line = await served.line()
        line.send(request("/v1/orders/poll"))
        told = await answer(line)
        assert (told.status, told.headers["content-type"]) == (503, "application/problem+json")
        served.store.reachable = True
        line.send(request("/v1/orders/poll"))
        assert (await answer(line)).status == 200


@pytest.mark.parametrize("wait_s", [0, 50])
@on_both_loops
async def test_body_of_a_poll_is_not_a_request(served: Edge, wait_s: int) -> None:
    """It comes after its head, and looks like one: a proxy that shares connections would give its answer to another."""
    line, inner = await served.line(), request("/v1/smuggled")
    line.send(asked(0, wait_s=wait_s).replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(inner)))
    if wait_s:
        await eventually(lambda: served.app[LIMITS].waiting_polls == 1 and bool(list(served.hub.subscribers())))
        line.send(inner)
        served.store.place("u1")
        assert (await answer(line)).status == 200
    else:
        assert (await answer(line)).status == 304
        line.send(inner)
    line.send(asked(int(bool(wait_s)), wait_s=0))
    assert (await answer(line)).status == 304
