"""Who numbers: one at a time, taken over without a number lost or given twice."""

import asyncio
import json
import random
import signal
import sys
from collections import Counter

import psycopg2
import pytest

from orderstream.postgres import sequencer
from orderstream.postgres.connections import Session
from orderstream.postgres.sequencer import Sequencer, SequencerSettings
from tests.postgres.feed import (
    CountingMeter,
    assert_dense,
    committed_events,
    insert_order,
    insert_orders,
    opened,
    run,
    sequencing,
)
from tests.services import START_PATIENCE_S
from tests.waiting import eventually

KILL_LEADER = """
select pg_terminate_backend(pid) from pg_locks
where locktype = 'advisory' and classid = 1869768306 and objid = 0 and granted
  and database = (select oid from pg_database where datname = current_database())
"""

# A leader of its own, to be stopped as a machine stops that swaps, or is moved. It imports nothing of `tests`: an
# installed package may be called so, too, and then goes first.
LEADER = """
import asyncio, sys
from orderstream.metrics import PrometheusMeter
from orderstream.postgres.sequencer import Sequencer, SequencerSettings
settings = SequencerSettings(safety_net_s=0.2, idle_session_timeout_s=1.0)
asyncio.run(Sequencer(sys.argv[1], settings, lambda batch: None, PrometheusMeter()).run())
"""


async def test_one_of_two_leads_and_the_other_follows_at_once(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that leaves says so: the candidate, who asks by itself once a minute, does not wait."""
    # A server that is slow at that moment would leave its last words unsaid.
    monkeypatch.setattr(sequencer, "_LEAVE_S", 20.0)
    async with sequencing(database, election_s=60.0) as second, sequencing(database, election_s=60.0) as first:
        await eventually(lambda: first.leading or second.leading)
        leader, candidate = (first, second) if first.leading else (second, first)
        with opened(database) as writer:
            insert_order(writer.cursor(), "ann")
        await eventually(lambda: leader.events)
        assert not candidate.leading
        assert leader.task is not None
        leader.task.cancel()
        await eventually(lambda: candidate.leading)
        with opened(database) as writer:
            insert_order(writer.cursor(), "ann")
        await eventually(lambda: candidate.events)
    assert_dense(leader.events + candidate.events)


def work(dsn: str, seed: int, transactions: int) -> int:
    """Changes orders of several users in opposite orders, with savepoints and aborts; how many were committed."""
    dice, committed = random.Random(seed), 0
    with opened(dsn, autocommit=False) as session, session.cursor() as at:
        at.execute("select id::text from public.orders order by id")
        ids = [order_id for (order_id,) in at.fetchall()]
        session.commit()
        for _ in range(transactions):
            changed = 0
            for order_id in sorted(dice.sample(ids, 3)):
                at.execute("savepoint one")
                at.execute("update public.orders set quantity = quantity + 1 where id = %s", (order_id,))
                if dice.random() < 0.2:
                    at.execute("rollback to one")
                else:
                    changed += 1
            if dice.random() < 0.2:
                session.rollback()
            else:
                session.commit()
                committed += changed
    return committed


async def test_leader_killed_under_writers_loses_and_repeats_nothing(database: str) -> None:
    """Its session is ended again and again, in mid-flight; steps are small, so windows are open when it dies."""
    with opened(database) as session, session.cursor() as at:
        insert_orders(at, ["ann", "bob", "cid", "dan"], 12)
    async with sequencing(database, batch_max_events=12) as one, sequencing(database, batch_max_events=12) as other:
        writing = asyncio.gather(*(asyncio.to_thread(work, database, seed, 150) for seed in range(4)))
        kills = 0
        while not writing.done() or kills < 10:
            took_over = one.meter.counts["took_over"] + other.meter.counts["took_over"]
            await eventually(lambda: one.leading or other.leading)
            kills += len(await asyncio.to_thread(run, database, KILL_LEADER))
            await eventually(
                lambda: one.meter.counts["took_over"] + other.meter.counts["took_over"] > took_over  # noqa: B023
            )
        committed = 12 + sum(await writing)
        # Three of those that wait for long at a time, each time with its flush to disk.
        await eventually(lambda: len(committed_events(database)) >= committed, within_s=60)
    events = committed_events(database)
    assert len(events) == committed
    assert_dense(events)
    handed = Counter(one.events + other.events)
    # A leader may die after its commit and before its hand-over, never hand over what it did not commit.
    assert set(handed) <= set(events)
    assert max(handed.values()) == 1
    assert kills >= 10


async def test_stopped_leader_loses_its_lock_and_cannot_write_when_it_wakes(database: str) -> None:
    """Postgres ends a session that says nothing for idle_session_timeout, and with it the lock and the pen."""
    stopped = await asyncio.create_subprocess_exec(sys.executable, "-c", LEADER, database)
    try:
        leads = "select 1 from pg_locks where locktype = 'advisory' and classid = 1869768306 and objid = 0"
        await eventually(lambda: run(database, leads), within_s=START_PATIENCE_S)
        stopped.send_signal(signal.SIGSTOP)
        async with sequencing(database) as numbered:
            with opened(database) as writer:
                insert_order(writer.cursor(), "ann")
            await eventually(lambda: numbered.events)
            stopped.send_signal(signal.SIGCONT)
            for n in range(20):
                with opened(database) as writer:
                    insert_order(writer.cursor(), f"u{n % 3}")
            await eventually(lambda: len(numbered.events) == 21)
            assert numbered.leading
    finally:
        stopped.kill()
        await stopped.wait()
    assert_dense(committed_events(database))


async def test_leader_that_is_stopped_as_soon_as_it_is_elected_loses_its_lock(database: str) -> None:
    """It has asked for nothing else yet, and nobody can lead while it holds the lock."""

    class Stopped(Sequencer):
        async def _lead(self, session: Session) -> None:
            elected.set()
            await asyncio.Event().wait()

    elected, settings = asyncio.Event(), SequencerSettings(idle_session_timeout_s=0.5)
    stopped = asyncio.create_task(Stopped(database, settings, lambda _: None, CountingMeter()).run())
    await asyncio.wait_for(elected.wait(), 20)
    async with sequencing(database) as numbered:
        await eventually(lambda: numbered.leading)
    stopped.cancel()
    await asyncio.wait([stopped])


async def test_second_numbering_of_a_position_is_refused_by_the_table(database: str) -> None:
    """Should all else fail, the keys of `events` do not let two write the same number."""
    async with sequencing(database) as numbered:
        with opened(database) as writer:
            insert_order(writer.cursor(), "ann")
        await eventually(lambda: numbered.events)
    again = "insert into orderstream.event_rows (position, user_id, seq, epoch, event, body, written_at) values "
    with pytest.raises(psycopg2.errors.UniqueViolation):
        run(database, again + "(1, 'bob', 1, '0a0a0a0a', 'order', '{}', now())")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        run(database, again + "(2, 'ann', 1, '0a0a0a0a', 'order', '{}', now())")
    assert json.loads(numbered.events[0].body)["order"]["version"] == 1
