"""Following: every event once and in order, through lost connections, hand-overs and holes."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import psycopg2
import pytest
from psycopg2.extensions import cursor

from orderstream.core.events import TURN_EVENTS, SequencedEvent
from orderstream.postgres import follower as follower_module
from orderstream.postgres.connections import Session
from orderstream.postgres.follower import Follower
from orderstream.postgres.sequencer import Sequencer, SequencerSettings
from orderstream.postgres.watching import MOST_UNHEARD
from tests.postgres.feed import CountingMeter, committed_events, insert_order, opened, run, sequencing
from tests.postgres.publishing import Recorder, following
from tests.postgres.servers import TestServer
from tests.services import PATIENCE_S
from tests.waiting import eventually

SESSION = "from pg_stat_activity where application_name = 'orderstream follower' and datname = current_database()"
TERMINATE = f"select pg_terminate_backend(pid) {SESSION}"
TERMINATE_SEQUENCER = TERMINATE.replace("follower", "sequencer")
SET_BACK_TO_4 = "; ".join(
    f"delete from orderstream.{what}"
    for what in ("outbox_rows", "checkpoints where position > 4", "event_rows where position > 4")
)
NUMBERED_ANEW_FROM_5 = "update orderstream.event_rows set written_at = now() where position > 4"
# It has looked since the newest event was written.
IS_IDLE = f"select 1 {SESSION} and state = 'idle' and query_start > (select max(written_at) from orderstream.events)"

EARS_HELD = (
    "select count(*) from pg_locks where locktype = 'advisory' and (classid, objid) = (1869768306, 2)"
    " and database = (select oid from pg_database where datname = current_database())"
)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def at(database: str) -> Iterator[cursor]:
    with opened(database) as session, session.cursor() as at:
        yield at


@pytest.fixture
def follower(database: str, recorder: Recorder) -> Follower:
    """Only notifications wake it: it looks by itself once a minute."""
    return Follower(database, recorder, CountingMeter(), probe_s=60.0, timeout_s=PATIENCE_S)


def commit(dsn: str, first: int, count: int = 1, *, notify: bool = True) -> list[SequencedEvent]:
    """Adds events from position `first` on as the sequencer does, and gives them."""
    run(
        dsn,
        "with made as (insert into orderstream.event_rows (position, user_id, seq, epoch, event, body, written_at) "
        "select n, 'ann', n, (select epoch from orderstream.epochs order by id desc limit 1), 'order', '{}', now() "
        "from generate_series(%(first)s, %(last)s) n returning 1) "
        "select case when %(notify)s then pg_notify('orderstream_events', %(last)s::text) end",
        {"first": first, "last": first + count - 1, "notify": notify},
    )
    return [event for event in committed_events(dsn) if event.position >= first]


@asynccontextmanager
async def cut_off(database: str, follower: Follower, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """It has no session inside."""
    back, open_lasting = asyncio.Event(), follower_module.open_lasting

    async def open_later(*args: Any, **kwargs: Any) -> Any:
        await back.wait()
        return await open_lasting(*args, **kwargs)

    monkeypatch.setattr(follower_module, "open_lasting", open_later)
    run(database, TERMINATE)
    await eventually(lambda: not follower.connected.is_set())
    yield
    back.set()


async def told_nine(database: str, recorder: Recorder) -> str:
    """The epoch in which it was told of nine events."""
    commit(database, 1, 9)
    await eventually(lambda: len(recorder.events) == 9)
    return recorder.epochs[-1]


async def test_it_begins_at_the_newest_event(database: str, recorder: Recorder, follower: Follower) -> None:
    """What was before it is the table's business; what comes is told in order, and the epoch first."""
    commit(database, 1, 5)
    async with following(follower):
        commit(database, 6, 2)
        await eventually(lambda: len(recorder.events) == 2)
    assert recorder.positions == [6, 7]
    assert recorder.epochs == [recorder.events[0].epoch]
    assert recorder.forgot == 0


async def test_many_events_are_published_in_turns(
    database: str, recorder: Recorder, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the loop has it in between."""
    ran: list[int] = []

    def publish(batch: Sequence[SequencedEvent]) -> None:
        recorder.events.extend(batch)
        asyncio.get_running_loop().call_soon(lambda: ran.append(len(recorder.events)))

    monkeypatch.setattr(recorder, "publish", publish)
    async with following(follower):
        commit(database, 1, 2 * TURN_EVENTS + 1)
        await eventually(lambda: len(ran) == 3)
    assert ran == [TURN_EVENTS, 2 * TURN_EVENTS, 2 * TURN_EVENTS + 1]
    assert recorder.positions == list(range(1, 2 * TURN_EVENTS + 2))


async def test_events_committed_while_its_connection_is_gone_come_once(
    database: str, recorder: Recorder, follower: Follower
) -> None:
    """LISTEN first, then read: at no moment can a commit fall between."""
    async with following(follower):
        position = 0
        for _ in range(6):
            run(database, TERMINATE)
            for _ in range(20):
                await asyncio.to_thread(commit, database, position + 1)
                position += 1
            await eventually(lambda: len(recorder.events) == position)  # noqa: B023
    assert recorder.positions == list(range(1, position + 1))
    assert recorder.forgot == 0


async def test_silence_is_no_reason_to_lose_its_session(database: str, follower: Follower) -> None:
    """Wherever the sessions of others may not be idle for so long."""
    limit = "do $$ begin execute format('alter database %I set idle_session_timeout = 100', current_database()); end $$"
    run(database, limit)
    idle_since = f"select 1 {SESSION} and state = 'idle' and clock_timestamp() - state_change > '500 ms'"
    async with following(follower):
        await eventually(lambda: run(database, idle_since))
    assert follower.connected.is_set()


async def test_notifications_that_are_not_taken_are_not_kept_for_ever(database: str, recorder: Recorder) -> None:
    """While nothing may be shown, its session is given up rather than filled; then everything comes once."""
    permitted, meter = asyncio.Event(), CountingMeter()
    permitted.set()
    follower = Follower(database, recorder, meter, probe_s=60.0, timeout_s=PATIENCE_S, permitted=permitted)
    async with following(follower):
        permitted.clear()
        commit(database, 1)
        await eventually(lambda: run(database, IS_IDLE))
        numbers = f"generate_series(2, {5 * MOST_UNHEARD}) n"
        run(database, f"select pg_notify('orderstream_events', n::text) from {numbers}")
        await eventually(lambda: run(database, f"select count(*) {SESSION}") == [(0,)])
        commit(database, 2)
        permitted.set()
        await eventually(lambda: len(recorder.events) == 2)
    assert (recorder.positions, meter.counts["database_error"]) == ([1, 2], 1)


async def test_more_than_a_page_is_caught_up_with(database: str, recorder: Recorder, follower: Follower) -> None:
    """One notification, many pages."""
    async with following(follower):
        commit(database, 1, 2500)
        await eventually(lambda: len(recorder.events) >= 2500)
    assert recorder.positions == list(range(1, 2501))


async def test_batch_handed_over_and_notified_comes_once(database: str, recorder: Recorder, follower: Follower) -> None:
    """The leader's own process hears of each batch twice."""
    async with following(follower):
        for position in range(1, 60, 3):
            follower.take(commit(database, position, 3))
            await asyncio.sleep(0)
        commit(database, 61)
        await eventually(lambda: 61 in recorder.positions)
    assert recorder.positions == list(range(1, 62))


async def test_batch_that_does_not_follow_is_read_at_once(
    database: str, recorder: Recorder, follower: Follower
) -> None:
    """A hand-over that overtakes a notification, or that nobody notifies of, does not make a hole."""
    async with following(follower):
        commit(database, 1, 2, notify=False)
        follower.take(commit(database, 3, notify=False))
        assert recorder.events == []
        await eventually(lambda: len(recorder.events) == 3)
    assert recorder.positions == [1, 2, 3]
    assert recorder.forgot == 0


async def test_leader_alone_is_handed_its_events_and_notifies_nobody(
    database: str, at: cursor, recorder: Recorder
) -> None:
    """Until another process is there, which then hears of each. Who leads no more is told like others, at once."""
    there = Recorder()
    async with handing_over(database, recorder, safety_net_s=0.1) as process, listening(database) as told:
        await eventually(lambda: run(database, EARS_HELD) == [(0,)])
        insert_order(at, "ann")
        await eventually(lambda: recorder.positions == [1])
        assert told() == []
        async with following(Follower(database, there, CountingMeter(), probe_s=60.0, timeout_s=PATIENCE_S)):
            insert_order(at, "ann")
            await eventually(lambda: recorder.positions == [1, 2] and there.positions == [2])
            # Whoever listens is told one after another.
            await eventually(lambda: told() == ["2"])
        # Postgres ends a session when it comes to it.
        await eventually(lambda: run(database, EARS_HELD) == [(0,)])
        insert_order(at, "ann")
        await eventually(lambda: recorder.positions == [1, 2, 3])
        assert told() == []
        process.leading.cancel()
        await eventually(lambda: run(database, EARS_HELD) == [(1,)])
        async with sequencing(database):
            insert_order(at, "ann")
            await eventually(lambda: recorder.positions == [1, 2, 3, 4])
            await eventually(lambda: told() == ["4"])


async def test_follower_that_waits_in_vain_to_be_handed_events_is_told(
    database: str, at: cursor, recorder: Recorder
) -> None:
    """Its process led, and does not know yet that another does: only the sequencer's connection has gone, silently."""
    deposed = Follower(
        database,
        recorder,
        CountingMeter(),
        probe_s=60.0,
        timeout_s=PATIENCE_S,
        leading=lambda: True,
        settled=lambda: True,
    )
    async with following(deposed), handing_over(database, Recorder(), safety_net_s=60.0):
        for number in range(1, 6):
            insert_order(at, "ann")
            await eventually(lambda: recorder.positions == list(range(1, number + 1)))  # noqa: B023


async def test_probe_that_is_interrupted_is_no_lost_connection(database: str, recorder: Recorder) -> None:
    """Events that do not follow may come just while its own notification is on the way."""
    meter = CountingMeter()
    follower = Follower(database, recorder, meter, probe_s=0.001, timeout_s=PATIENCE_S)
    async with following(follower):
        for position in range(2, 400, 2):
            follower.take(commit(database, position - 1, 2, notify=False)[1:])
            await asyncio.sleep(0)
        await eventually(lambda: recorder.positions == list(range(1, 400 - 1)))
    assert meter.counts["database_error"] == 0


class Process(NamedTuple):
    follower: Follower
    leading: asyncio.Task[None]


@asynccontextmanager
async def handing_over(database: str, recorder: Recorder, *, safety_net_s: float) -> AsyncIterator[Process]:
    """A process's follower and sequencer, which leads, and is settled 5 s and `safety_net_s` later."""
    follower = Follower(
        database,
        recorder,
        CountingMeter(),
        probe_s=60.0,
        timeout_s=PATIENCE_S,
        leading=lambda: sequencer.leading,
        settled=lambda: sequencer.settled,
    )
    settings = SequencerSettings(
        safety_net_s=safety_net_s, idle_session_timeout_s=0.0, election_s=0.1, query_timeout_s=5.0
    )
    sequencer = Sequencer(database, settings, follower.take, CountingMeter(), follower.look)
    async with following(follower):
        leading = asyncio.create_task(sequencer.run())
        await eventually(lambda: sequencer.leading)
        yield Process(follower, leading)
    leading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leading


@asynccontextmanager
async def listening(database: str) -> AsyncIterator[Callable[[], list[str]]]:
    """What is notified of events meanwhile, since it was last asked: positions."""
    with contextlib.closing(psycopg2.connect(database)) as session, session.cursor() as at:
        session.autocommit = True
        at.execute("listen orderstream_events")

        def told() -> list[str]:
            at.execute("select")
            payloads = [notify.payload for notify in session.notifies]
            session.notifies.clear()
            return [payload for payload in payloads if payload.isdigit()]

        yield told


async def test_table_set_back_is_forgotten_in_a_new_epoch(
    database: str, recorder: Recorder, follower: Follower
) -> None:
    """Events that were told are gone, and their numbers will be given out again: so the epoch is over, and every client
    is reset rather than left to skip what comes next."""
    async with following(follower):
        told = await told_nine(database, recorder)
        run(database, "delete from orderstream.events where position > 4")
        run(database, "select pg_notify('orderstream_events', '')")
        await eventually(lambda: recorder.forgot == 1 and recorder.epochs[-1] != told)
        commit(database, 5)
        await eventually(lambda: len(recorder.events) == 10)
    assert recorder.positions == [*range(1, 10), 5]


async def test_epoch_of_a_table_set_back_ends_although_the_session_is_lost_meanwhile(
    database: str, recorder: Recorder, follower: Follower
) -> None:
    """Else the positions agree on the next one, and clients would be told nothing until those that they know are
    passed."""
    waits = "select 1 from pg_locks where relation = 'orderstream.checkpoints'::regclass and not granted"
    async with following(follower):
        told = await told_nine(database, recorder)
        with opened(database, autocommit=False) as stepping, stepping.cursor() as at:
            at.execute("lock table orderstream.checkpoints in share mode")
            run(database, "delete from orderstream.events where position > 4")
            run(database, "select pg_notify('orderstream_events', '')")
            await eventually(lambda: run(database, waits))
            run(database, TERMINATE)
            await eventually(lambda: not follower.connected.is_set())
            follower.take(commit(database, 5, notify=False))
            stepping.commit()
        await eventually(lambda: recorder.epochs[-1] != told)
    assert recorder.positions == list(range(1, 10))


async def test_table_set_back_is_noticed_where_others_have_its_numbers(
    database: str, recorder: Recorder, follower: Follower
) -> None:
    """Whoever numbers was faster than whoever reads: none of what comes after them is told in the old epoch."""
    async with following(follower):
        told = await told_nine(database, recorder)
        run(database, "delete from orderstream.events where position > 4")
        commit(database, 5, 8)
        await eventually(lambda: recorder.epochs[-1] != told)
    assert (recorder.forgot, recorder.positions) == (1, list(range(1, 10)))


@pytest.mark.parametrize(
    ("happened", "newest"),
    [
        pytest.param(SET_BACK_TO_4, 4, id="its process numbers anew"),
        pytest.param(NUMBERED_ANEW_FROM_5, 9, id="another process has numbered anew"),
    ],
)
async def test_table_set_back_is_noticed_although_the_sequencer_was_back_first(
    database: str, at: cursor, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, happened: str, newest: int
) -> None:
    """What it hands over does not lead past what stands where something else stood."""
    async with handing_over(database, recorder, safety_net_s=0.1) as process:
        for number in range(1, 10):
            insert_order(at, "ann")
            await eventually(lambda: len(recorder.events) == number)  # noqa: B023
        told = recorder.epochs[-1]
        async with cut_off(database, process.follower, monkeypatch):
            run(database, f"{happened}; {TERMINATE_SEQUENCER}")
            for number in range(newest + 1, 15):
                insert_order(at, "ann")
                await eventually(lambda: len(committed_events(database)) == number)  # noqa: B023
        await eventually(lambda: recorder.epochs[-1] != told)
    assert (recorder.forgot, recorder.positions) == (1, list(range(1, 10)))


async def test_what_its_process_numbers_is_told_while_it_has_no_session(
    database: str, at: cursor, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leads on has seen that nothing stands where something else stood."""
    async with handing_over(database, recorder, safety_net_s=0.1) as process:
        insert_order(at, "ann")
        await eventually(lambda: recorder.positions == [1])
        async with cut_off(database, process.follower, monkeypatch):
            insert_order(at, "ann")
            await eventually(lambda: recorder.positions == [1, 2])


async def test_table_set_back_ends_an_epoch_that_was_handed_over_and_never_read(
    database: str, recorder: Recorder, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session was away when the epoch began."""
    async with following(follower):
        await told_nine(database, recorder)
        async with cut_off(database, follower, monkeypatch):
            run(database, "select orderstream.new_epoch()")
            follower.take(commit(database, 10, 5, notify=False))
            told = recorder.events[-1].epoch
            run(database, "delete from orderstream.events where position > 11")
        await eventually(lambda: recorder.epochs[-1] not in (recorder.epochs[0], told))
    assert (recorder.forgot, recorder.positions) == (1, list(range(1, 15)))


async def test_table_set_back_is_noticed_where_an_event_of_the_same_statement_stands(
    database: str, recorder: Recorder, follower: Follower
) -> None:
    """Both were written at once: they are told from each other by their users and numbers."""
    async with following(follower):
        told = await told_nine(database, recorder)
        run(database, "update orderstream.event_rows set user_id = 'bob', seq = 1 where position = 9")
        run(database, "select pg_notify('orderstream_events', '10')")
        await eventually(lambda: recorder.epochs[-1] != told)
    assert recorder.forgot == 1


async def test_times_are_compared_whole_whatever_a_session_is_told_of_its_digits(
    database: str, recorder: Recorder, follower: Follower
) -> None:
    """The one that hands over and the one that reads may have been begun under different settings."""
    async with following(follower):
        commit(database, 1)
        await eventually(lambda: recorder.events)
        name = "do $$ begin execute format('alter database %I set extra_float_digits = -3', current_database()); end $$"
        run(database, name)
        run(database, TERMINATE)
        await eventually(lambda: not follower.connected.is_set())
        await eventually(follower.connected.is_set)
    assert recorder.forgot == 0


# What a dump's text has of events: their rows, and their key.
ROWS_AND_KEY = (
    r"COPY orderstream\.event_rows .*?\n\\\.\n|ALTER TABLE ONLY orderstream\.event_rows\n    ADD CONSTRAINT .*?;\n"
)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(r"COPY orderstream\.event_rows .*", id="one table after another"),
        pytest.param(ROWS_AND_KEY, id="several tables at once"),
    ],
)
async def test_no_epoch_is_begun_in_tables_that_are_being_restored(
    postgres: TestServer, database: str, recorder: Recorder, later: str
) -> None:
    """A dump's rows come before its keys and its next ids: a row of ours would take the id of one, be none that is
    in force, and break the restore."""
    run(database, "select orderstream.new_epoch('second')")
    commit(database, 1, 4, notify=False)
    dumped = subprocess.run(
        [postgres.bin_path / "pg_dump", "-d", database, "-n", "orderstream"], check=True, capture_output=True, text=True
    ).stdout
    follower = Follower(database, recorder, meter := CountingMeter(), probe_s=0.1, timeout_s=PATIENCE_S)

    async def restore(part: str) -> None:
        command = [postgres.bin_path / "psql", "-q", "-d", database]
        done = await asyncio.to_thread(subprocess.run, command, input=part, capture_output=True, text=True)
        assert "ERROR" not in done.stderr

    async with following(follower):
        commit(database, 5, 6)
        await eventually(lambda: 10 in recorder.positions)
        told = recorder.epochs[-1]
        await restore("drop schema orderstream cascade; " + re.sub(later, "", dumped, flags=re.DOTALL))
        await eventually(lambda: recorder.forgot)
        before = meter.counts["database_error"]
        await eventually(lambda: meter.counts["database_error"] > before + 1)
        await restore("".join(re.findall(later, dumped, flags=re.DOTALL)))
        await eventually(lambda: recorder.epochs[-1] != told)
    assert run(database, "select id, reason from orderstream.epochs order by id")[1:] == [
        (2, "second"),
        (3, "events were set back"),
    ]
    assert run(database, "select position from orderstream.checkpoints order by id desc limit 1") == [(4,)]


async def test_epoch_that_several_find_broken_is_renewed_once(database: str) -> None:
    """Each of them that renewed it again would reset the clients of all once more."""
    recorders = [Recorder() for _ in range(4)]
    followers = [Follower(database, one, CountingMeter(), probe_s=60.0, timeout_s=PATIENCE_S) for one in recorders]
    async with contextlib.AsyncExitStack() as stack:
        for follower in followers:
            await stack.enter_async_context(following(follower))
        commit(database, 1, 9)
        await eventually(lambda: all(len(one.events) == 9 for one in recorders))
        run(database, "delete from orderstream.events where position > 4")
        run(database, "select pg_notify('orderstream_events', '')")
        await eventually(lambda: all(one.forgot and len(one.epochs) > 1 for one in recorders))
        commit(database, 5)
        await eventually(lambda: all(len(one.events) == 10 for one in recorders))
    assert [one.forgot for one in recorders] == [1, 1, 1, 1]
    assert run(database, "select count(*) from orderstream.epochs") == [(2,)]


async def test_hole_left_by_retention_is_forgotten(database: str, recorder: Recorder, follower: Follower) -> None:
    """It was away for longer than events are kept: each client finds out from the table, none is told a hole."""
    async with following(follower):
        commit(database, 1)
        await eventually(lambda: recorder.events)
        commit(database, 2, 8, notify=False)
        run(database, "delete from orderstream.events where position between 2 and 5")
        commit(database, 10)
        await eventually(lambda: 10 in recorder.positions)
    assert recorder.forgot == 1
    assert recorder.positions == [1, *range(6, 11)]


async def test_new_epoch_is_published(database: str, recorder: Recorder, follower: Follower) -> None:
    """At once, without an event."""
    async with following(follower):
        [(epoch,)] = run(database, "select orderstream.new_epoch()")
        await eventually(lambda: recorder.epochs[-1:] == [epoch])


async def test_follower_that_has_gone_deaf_connects_anew(
    database: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No notification comes and no error either: its own probe does not come back, so it does not trust the session."""
    meter = CountingMeter()
    follower = Follower(database, recorder, meter, probe_s=0.05, timeout_s=PATIENCE_S)
    hear, deaf = Session.notified, True

    async def hears(self: Session, timeout_s: float) -> list[str]:
        heard = await hear(self, timeout_s)
        return [] if deaf else heard

    monkeypatch.setattr(follower_module.Session, "notified", hears)
    async with following(follower):
        await eventually(lambda: meter.counts["database_error"])
        deaf = False
        commit(database, 1)
        await eventually(lambda: recorder.events)
    assert recorder.positions == [1]
