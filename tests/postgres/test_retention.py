"""Retention: what is still needed stays, and nobody notices that the rest goes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from orderstream.postgres.pool import Pool
from orderstream.postgres.retention import Retention, RetentionSettings
from tests.postgres.feed import (
    CountingMeter,
    Steps,
    assert_dense,
    insert_order,
    insert_orders,
    opened,
    run,
    sequencing,
)
from tests.services import PATIENCE_S
from tests.waiting import eventually

MakeRetention = Callable[..., Retention]


@pytest.fixture
async def retention(database: str) -> AsyncIterator[MakeRetention]:
    pool = Pool(database, size=1, timeout_s=PATIENCE_S)

    def make(leading: bool = True, **settings: Any) -> Retention:
        return Retention(pool, RetentionSettings(**settings), lambda: leading, CountingMeter())

    yield make
    await pool.close()


def count(dsn: str, table: str) -> int:
    [(rows,)] = run(dsn, f"select count(*) from orderstream.{table}")
    return int(rows)


async def test_numbered_outbox_rows_go_in_batches(database: str, retention: MakeRetention) -> None:
    """Once a later snapshot confirms them, however many batches it takes."""
    with opened(database) as session, session.cursor() as at:
        insert_orders(at, ["ann", "bob"], 35)
        steps = Steps(at)
        assert len(steps.take()) == 35
        await retention(retention_batch_rows=10).sweep()
    assert count(database, "outbox") == 0
    assert count(database, "events") == 35


async def test_rows_of_an_unfinished_window_stay(database: str, retention: MakeRetention) -> None:
    """Part of a transaction is numbered, the rest is not yet."""
    with opened(database) as session, session.cursor() as at:
        insert_orders(at, ["ann", "bob"], 30)
        steps = Steps(at)
        handed = steps.take(7)
        await retention().sweep()
        assert count(database, "outbox") == 30 - len(handed)
        while batch := steps.take(7):
            handed += batch
            await retention().sweep()
    assert_dense(handed)
    assert len(handed) == 30


async def test_rows_of_open_transactions_stay(database: str, retention: MakeRetention) -> None:
    """However much is numbered and removed around them."""
    keeper = retention()
    with opened(database) as session, session.cursor() as at, opened(database, autocommit=False) as writer:
        steps = Steps(at)
        insert_order(writer.cursor(), "ann")
        insert_orders(at, ["ann"], 5)
        handed = steps.take()
        await keeper.sweep()
        writer.commit()
        await keeper.sweep()
        assert count(database, "outbox") >= 1
        handed += steps.take()
        await keeper.sweep()
    assert_dense(handed)
    assert len(handed) == 6
    assert count(database, "outbox") == 0


async def test_events_past_their_time_go_but_each_users_newest(database: str, retention: MakeRetention) -> None:
    """The newest holds the user's number, which goes on after it."""
    with opened(database) as session, session.cursor() as at:
        steps = Steps(at)
        insert_orders(at, ["ann", "bob", "bob"], 9)
        steps.take()
        at.execute("update orderstream.events set sequenced_at = now() - interval '8 days'")
        insert_orders(at, ["cid"], 2)
        steps.take()
        await retention(retention_batch_rows=2).sweep()
        at.execute("select user_id, seq from orderstream.events order by user_id, seq")
        assert at.fetchall() == [("ann", 3), ("bob", 6), ("cid", 1), ("cid", 2)]
        insert_orders(at, ["ann", "bob"], 2)
        assert sorted((event.user_id, event.seq) for event in steps.take()) == [("ann", 4), ("bob", 7)]


async def test_what_is_left_of_a_user_has_no_hole(database: str, retention: MakeRetention) -> None:
    """An event that stayed as the newest goes with those after it: replay from before it must not step over any."""
    keeper = retention(retention_events_s=0.0)
    with opened(database) as session, session.cursor() as at:
        steps = Steps(at)
        for count_of_events in (5, 1, 6):
            insert_orders(at, ["ann"], count_of_events)
            steps.take()
            await keeper.sweep()
        at.execute("select array_agg(seq order by seq) from orderstream.events")
        assert at.fetchall() == [([12],)]


async def test_newest_hundred_checkpoints_stay(database: str, retention: MakeRetention) -> None:
    """The last one is where the sequencer goes on."""
    with opened(database) as session, session.cursor() as at:
        steps = Steps(at)
        for _ in range(130):
            insert_orders(at, ["ann"], 1)
            steps.take()
        await retention(retention_batch_rows=10).sweep()
        assert count(database, "checkpoints") == 100
        insert_orders(at, ["ann"], 1)
        assert [event.seq for event in steps.take()] == [131]


async def test_sweeps_beside_writers_make_no_hole(database: str, retention: MakeRetention) -> None:
    """Everything is past its time at once, and removed as fast as it can be."""

    def write(user_id: str) -> None:
        with opened(database) as session, session.cursor() as at:
            for _ in range(60):
                insert_orders(at, [user_id, "all"], 4)

    keeper = retention(retention_events_s=0.0, retention_batch_rows=50)
    async with sequencing(database, batch_max_events=10) as numbered:
        writing = asyncio.gather(*(asyncio.to_thread(write, f"u{n}") for n in range(3)))
        while not writing.done():
            await keeper.sweep()
        await writing
        await eventually(lambda: len(numbered.events) == 720)
        # A sweep may have been under way when the last of them were seen: as older than it, they would stay.
        with opened(database) as session:
            insert_order(session.cursor(), "late")
        await eventually(lambda: len(numbered.events) == 721)
        assert_dense(numbered.events)

        async def nothing_is_left() -> bool:
            await keeper.sweep()
            return count(database, "outbox") == 0

        await eventually(nothing_is_left)
    left = [seq for (seq,) in run(database, "select seq from orderstream.events where user_id = 'all' order by seq")]
    assert left == list(range(left[0], 361))


async def test_only_the_leader_sweeps(database: str, retention: MakeRetention) -> None:
    """Two would do the same work twice."""
    with opened(database) as session, session.cursor() as at:
        insert_orders(at, ["ann"], 3)
        Steps(at).take()
    idle = asyncio.create_task(retention(leading=False, retention_every_s=0.001).run())
    led = asyncio.create_task(retention(retention_every_s=0.2).run())
    await asyncio.sleep(0)
    assert count(database, "outbox") == 3
    await eventually(lambda: count(database, "outbox") == 0)
    for task in (idle, led):
        task.cancel()
    await asyncio.gather(idle, led, return_exceptions=True)
