"""When a held poll's connection ends by time, and when it does not: one alarm does for all of it."""

import asyncio

from orderstream.core.cursor import Cursor
from orderstream.web.alarms import Alarm
from orderstream.web.connection import ConnectionSettings
from orderstream.web.held import HeldPoll
from orderstream.web.limits import LIMITS
from orderstream.web.polls import POLLS
from orderstream.web.seats import SESSIONS
from tests.hub_world import LateStore
from tests.waiting import eventually, let_pass
from tests.web.edge import Edge, Line, edge, request
from tests.web.test_held import answer, asked, held, left, polled

WAIT_S = 5
KEEPALIVE_S = ConnectionSettings().keepalive_timeout_s


class Marker:
    """Is called by an alarm."""

    def __init__(self) -> None:
        self.rang = asyncio.Event()

    def ring(self) -> None:
        self.rang.set()


async def passed(served: Edge, seconds: float) -> None:
    """So much time, and all that was due by then was called."""
    marker = Marker()
    served.app[POLLS].alarms.set(marker, asyncio.get_running_loop().time() + seconds)
    let_pass(seconds)
    await marker.rang.wait()


def set_for(served: Edge) -> list[object]:
    """Whom the alarms are set for."""
    found: list[object] = []
    for alarm in served.app[POLLS].alarms._alarms.values():
        place = alarm.later
        while not isinstance(place, Alarm):
            found.append(place)
            place = place.later
    return found


async def idle_past_its_wait(served: Edge, line: Line) -> HeldPoll:
    """Answered with an event, and then idle for longer than it would have waited."""
    poll = await polled(served, line, wait_s=WAIT_S)
    await passed(served, WAIT_S + 1)
    return poll


async def test_poll_has_one_alarm_at_most_and_none_when_it_has_left() -> None:
    """While it waits, between two polls, and when the next one is to end before the connection would have."""
    async with edge() as served:
        line = await served.line()
        poll = await held(served, line, 0, wait_s=WAIT_S)
        assert set_for(served) == [poll]
        served.store.place("u1")
        await answer(line)
        assert set_for(served) == [poll]
        await passed(served, WAIT_S + 1)
        assert set_for(served) == [poll]
        assert await held(served, line, 1, wait_s=WAIT_S) is poll
        assert set_for(served) == [poll]
        await line.close()
        await eventually(lambda: left(served) == (0, 0, 0))
        assert set_for(served) == []


async def test_next_poll_is_held_for_its_own_time_whatever_its_channel_waits_for() -> None:
    """Its connection would have been closed before, had it not come; and the database takes its time."""
    async with edge() as served:
        line, late = await served.line(), LateStore(served.store)
        await idle_past_its_wait(served, line)
        served.hub._store = late
        late.hold()
        served.hub.forget()
        await held(served, line, 1, wait_s=WAIT_S)
        await passed(served, KEEPALIVE_S)
        assert served.app[LIMITS].waiting_polls == 1
        late.let_all()
        await eventually(lambda: bool(set_for(served)))
        await passed(served, WAIT_S + 1)
        assert (await answer(line)).status == 304


async def test_alarm_of_a_connection_that_was_given_back_does_not_close_it() -> None:
    """It is aiohttp's again."""
    async with edge() as served:
        line = await served.line()
        poll = await idle_past_its_wait(served, line)
        line.send(request("/v1/orders"))
        assert (await answer(line)).status == 200
        assert poll not in set_for(served)


async def test_time_that_is_up_during_a_reset_is_no_answer() -> None:
    """304 would say that what the client has is all there is, and its snapshot is on the way."""
    async with edge() as served:
        late, line = await reset_under_way(served)
        await passed(served, WAIT_S + 1)
        assert served.app[LIMITS].waiting_polls == 1
        late.let_all()
        told = await answer(line)
    assert (told.status, b'"reset":"epoch-changed"' in told.body) == (200, True)


async def test_drain_during_a_reset_is_refused_rather_than_answered() -> None:
    """For the same reason."""
    async with edge() as served:
        late, line = await reset_under_way(served)
        for subscriber in served.hub.drain():
            subscriber.outlet.goaway("drain", reconnect=True, after_ms=0)
        assert (await answer(line)).status == 503
        late.let_all()


async def reset_under_way(served: Edge) -> tuple[LateStore, Line]:
    """A held poll whose epoch is over, and whose snapshot has yet to come."""
    line, late = await served.line(), LateStore(served.store)
    await held(served, line, 0, wait_s=WAIT_S)
    await eventually(lambda: bool(set_for(served)))
    served.hub._store = late
    late.hold()
    served.store.epoch = "0b0b0b0b"
    served.hub.renew("0b0b0b0b")
    await eventually(lambda: late.questions == [("channels", 1)])
    late.let()
    await eventually(lambda: late.questions == [("channels", 1), ("snapshots", 1)])
    return late, line


async def test_two_connections_of_a_device_are_one_delivery() -> None:
    """Before and after their answers, with the cursor of the last."""
    async with edge() as served:
        lines = [await served.line() for _ in range(2)]
        for line in lines:
            line.send(asked(0))
        await eventually(lambda: len(list(served.hub.subscribers())) == 2)
        sessions = served.app[SESSIONS]
        [before] = sessions.of_user("u1")
        served.store.place("u1")
        for line in lines:
            assert (await answer(line)).status == 200
        [after] = sessions.of_user("u1")
        [polling] = sessions._idle
        assert (before.opened_at, str(Cursor("0a0a0a0a", 1))) == (after.opened_at, after.cursor)
        assert polling.opened_at == after.opened_at
