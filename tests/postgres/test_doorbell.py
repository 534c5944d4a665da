"""The doorbell: who rings, who wakes, and how seldom anybody asks."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from psycopg2.extensions import connection

from orderstream.postgres.connections import Row, Session
from tests.postgres.feed import assert_dense, insert_order, opened, sequencing
from tests.services import running_service
from tests.waiting import eventually

SLEEP = "select pg_advisory_lock(1869768306, 1)"


@pytest.fixture
def listener(database: str) -> Iterator[connection]:
    with opened(database) as session:
        session.cursor().execute("listen orderstream_doorbell")
        yield session


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> deque[str]:
    """Every query that a session of ours is asked; a pool asks through its sessions."""
    asked: deque[str] = deque()
    fetch = Session.fetch

    async def counting(self: Session, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        asked.append(sql)
        return await fetch(self, sql, parameters)

    monkeypatch.setattr(Session, "fetch", counting)
    return asked


def rings(listener: connection) -> int:
    # Its backend was signalled before the writer's commit returned; the answer to a query brings what it heard.
    listener.cursor().execute("select 1")
    listener.poll()
    return len(listener.notifies)


# Who rings


def test_writer_rings_when_somebody_sleeps(database: str, listener: connection) -> None:
    """The sleeper's exclusive lock is the sign."""
    with opened(database) as sleeper, opened(database) as writer:
        sleeper.cursor().execute(SLEEP)
        insert_order(writer.cursor(), "ann")
    assert rings(listener) == 1


def test_writer_does_not_ring_when_nobody_sleeps(database: str, listener: connection) -> None:
    """No NOTIFY, so no lock over all commits."""
    with opened(database) as writer:
        insert_order(writer.cursor(), "ann")
    assert rings(listener) == 0


def test_statement_that_changed_nothing_does_not_ring(database: str, listener: connection) -> None:
    """There is nothing to wake anybody for."""
    with opened(database) as sleeper, opened(database) as writer:
        insert_order(writer.cursor(), "ann")
        sleeper.cursor().execute(SLEEP)
        writer.cursor().execute("update public.orders set status = status")
    assert rings(listener) == 0


def test_rolled_back_savepoint_lets_the_sleeper_lie_down(database: str) -> None:
    """The lock of a writer that took its change back is free again before its transaction ends."""
    with opened(database) as sleeper, opened(database, autocommit=False) as writer, sleeper.cursor() as at:
        writing = writer.cursor()
        writing.execute("savepoint before")
        insert_order(writing, "ann")
        at.execute("select pg_try_advisory_lock(1869768306, 1)")
        assert at.fetchall() == [(False,)]
        writing.execute("rollback to before")
        at.execute("select pg_try_advisory_lock(1869768306, 1)")
        assert at.fetchall() == [(True,)]


def found_nobody_asleep(writer: connection) -> bool:
    """Whether this open transaction holds the doorbell's shared lock."""
    with writer.cursor() as at:
        at.execute("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
        return bool(at.fetchone() == (1,))


async def test_overlapping_writers_do_not_ring(database: str, listener: connection) -> None:
    """As long as one order transaction is open that found nobody asleep, nobody lies down: a busy system is quiet."""
    async with sequencing(database) as numbered:
        with opened(database, autocommit=False) as even, opened(database, autocommit=False) as odd:

            def opens_awake() -> bool:
                even.commit()
                insert_order(even.cursor(), "ann")
                return found_nobody_asleep(even)

            await eventually(lambda: numbered.leading)
            await eventually(opens_awake)
            rung = rings(listener)
            for n in range(100):
                insert_order(odd.cursor(), f"u{n % 7}")
                even.commit()
                await asyncio.sleep(0)
                insert_order(even.cursor(), f"u{n % 7}")
                odd.commit()
            assert rings(listener) == rung
            even.commit()
        await eventually(lambda: len(numbered.events) > 200)
    assert_dense(numbered.events)


# Who wakes


async def test_sleeping_sequencer_is_woken_by_the_bell_alone(database: str) -> None:
    """Its safety net is a minute away, so only the bell explains that each event came."""
    async with sequencing(database) as numbered:
        with opened(database) as writer, writer.cursor() as at:
            for n in range(50):
                await eventually(lambda: numbered.meter.counts["slept"] > n)  # noqa: B023
                insert_order(at, "ann")
                await eventually(lambda: len(numbered.events) > n)  # noqa: B023
    assert numbered.meter.counts["slept"] >= 50
    assert numbered.meter.counts["caught_by_safety_net"] == 0


async def test_trickle_from_several_writers_misses_nothing(database: str) -> None:
    """Lying down and being written to race at every phase; no commit is slept through."""

    def write(user_id: str) -> None:
        with opened(database) as writer, writer.cursor() as at:
            for n in range(100):
                insert_order(at, user_id)
                at.execute("select pg_sleep(%s)", (n % 7 / 1000,))

    async with sequencing(database) as numbered:
        await asyncio.gather(*(asyncio.to_thread(write, f"u{n}") for n in range(4)))
        await eventually(lambda: len(numbered.events) == 400)
    assert numbered.meter.counts["caught_by_safety_net"] == 0
    assert_dense(numbered.events)


async def test_event_without_a_bell_is_caught_by_the_safety_net_and_counted(database: str) -> None:
    """Should the bell ever be missed, it is late, not lost, and somebody is told."""
    async with sequencing(database, safety_net_s=0.2) as numbered:
        with opened(database) as writer, writer.cursor() as at:
            at.execute("set orderstream.doorbell = 'off'")

            async def another_is_caught() -> bool:
                # What is written before the sequencer lies down is found by its last look.
                order_id = insert_order(at, "ann")
                await eventually(lambda: any(order_id in event.body for event in numbered.events))
                return numbered.meter.counts["caught_by_safety_net"] > 0

            await eventually(another_is_caught)


# How seldom anybody asks


async def rate(queries: deque[str], count: int) -> float:
    """Queries a second, measured over `count` of them."""
    queries.clear()
    began_at = time.monotonic()
    await eventually(lambda: len(queries) >= count, within_s=30)
    return len(queries) / (time.monotonic() - began_at)


async def test_open_order_transaction_costs_100_queries_a_second_and_delays_nobody(
    database: str, queries: deque[str]
) -> None:
    """It found nobody asleep and will not ring: the sequencer looks, but not often, and numbers the others."""
    with opened(database, autocommit=False) as holder, opened(database) as writer:
        # Before there is a sequencer, so nobody is asleep.
        insert_order(holder.cursor(), "ann")
        async with sequencing(database) as numbered:
            insert_order(writer.cursor(), "bob")
            await eventually(lambda: len(numbered.events) == 1)
            await eventually(lambda: len(queries) > 40)
            assert await rate(queries, 120) <= 100
            insert_order(writer.cursor(), "bob")
            await eventually(lambda: len(numbered.events) == 2)
            holder.commit()
            await eventually(lambda: len(numbered.events) == 3)
    assert [(event.user_id, event.seq) for event in numbered.events] == [("bob", 1), ("bob", 2), ("ann", 1)]
    assert numbered.meter.counts["caught_by_safety_net"] == 0


async def test_idle_service_asks_once_a_second_at_most(database: str, queries: deque[str]) -> None:
    """A whole service, over all its sessions, at a tenth of its default intervals: ten queries a second."""
    hurried = {"safety_net_s": 0.5, "retention_every_s": 1.0, "session_beat_s": 1.0}
    async with running_service(database, **hurried):
        # The first sweep of retention is over, with what it does once a minute.
        await eventually(lambda: any("delete from orderstream.nodes" in sql for sql in queries))
        # 45, so that where the count happens to begin among the sweeps and probes weighs little.
        assert await rate(queries, 45) <= 10
