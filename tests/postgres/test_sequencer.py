"""Numbering: dense, in an order that agrees with the commits, whatever is open beside it."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from psycopg2.extensions import cursor

from orderstream.core.checker import Checker
from orderstream.core.events import SequencedEvent
from orderstream.postgres.judging import PASTS, PREPARE_PASTS
from orderstream.postgres.steps import share_of
from tests.postgres.feed import (
    Steps,
    assert_dense,
    committed_events,
    insert_order,
    insert_orders,
    opened,
    run,
    sequencing,
)
from tests.postgres.servers import TestServer
from tests.waiting import eventually


@pytest.fixture
def at(database: str) -> Iterator[cursor]:
    with opened(database) as session, session.cursor() as at:
        yield at


@pytest.fixture
def steps(at: cursor) -> Steps:
    return Steps(at)


def outbox_bodies(at: cursor, user_id: str) -> list[str]:
    at.execute("select body from orderstream.outbox where user_id = %s order by id", (user_id,))
    return [body for (body,) in at.fetchall()]


def test_step_numbers_each_user_and_all(at: cursor, steps: Steps) -> None:
    """1, 2, 3 … per user and by position, in the order of the outbox; what is handed over is what the table holds."""
    insert_orders(at, ["ann", "bob", "cid"], 7)
    handed = steps.take()
    at.execute("update public.orders set status = 'cancelled' where user_id <> 'cid'")
    handed += steps.take()
    assert_dense(handed)
    assert [(event.user_id, event.seq) for event in handed[:4]] == [("ann", 1), ("bob", 1), ("cid", 1), ("ann", 2)]
    assert len(handed) == 12


def test_what_is_handed_over_is_what_was_committed(database: str, at: cursor, steps: Steps) -> None:
    """The leader's batch and a follower's read are the same events."""
    insert_orders(at, ["ann", "bob"], 3)
    assert steps.take() == committed_events(database)


def test_order_id_too_long_for_an_index_does_not_stop_the_numbering(at: cursor, steps: Steps) -> None:
    """The event has its number; only its order's history does without it."""
    insert_orders(at, ["ann"], 1)
    at.execute(
        "insert into orderstream.outbox_rows (xid, user_id, order_id, event, body, written_at) "
        "select xid, user_id, (select string_agg(md5(n::text), '') from generate_series(1, 999) n), event, body, "
        "written_at from orderstream.outbox"
    )
    assert len(steps.take()) == 2
    at.execute("select order_id is null from orderstream.events order by position")
    assert at.fetchall() == [(False,), (True,)]


def test_step_without_work_writes_nothing(at: cursor, steps: Steps) -> None:
    """An idle sequencer leaves the database alone."""
    at.execute("select count(*) from orderstream.checkpoints")
    [(before,)] = at.fetchall()
    assert steps.take() == []
    at.execute("select count(*) from orderstream.checkpoints")
    assert at.fetchall() == [(before,)]


@pytest.mark.parametrize("max_events", [1, 7, 50, 51])
def test_window_larger_than_a_step_keeps_order_and_loses_nothing(at: cursor, steps: Steps, max_events: int) -> None:
    """A transaction is numbered over several steps; what commits meanwhile for its users comes after it."""
    insert_orders(at, ["ann", "bob"], 50)
    ann, bob = outbox_bodies(at, "ann"), outbox_bodies(at, "bob")
    handed = steps.take(max_events)
    insert_orders(at, ["bob"], 3)
    bob += outbox_bodies(at, "bob")[-3:]
    while batch := steps.take(max_events):
        assert len(batch) <= max_events
        handed += batch
    assert_dense(handed)
    assert [event.body for event in handed if event.user_id == "bob"] == bob
    assert [event.body for event in handed if event.user_id == "ann"] == ann


@pytest.mark.parametrize("committed", ["with it", "after it"])
def test_others_do_not_wait_for_a_transaction_larger_than_a_step(at: cursor, steps: Steps, committed: str) -> None:
    """Neither who commits in the same window nor who does while it is worked off; its own users do, and only they."""
    insert_orders(at, ["ann"], 100)
    handed = [] if committed == "with it" else steps.take(8)
    insert_orders(at, ["ann", "bob", "cid"], 6)
    batch = steps.take(8)
    assert Counter(event.user_id for event in batch) == {"ann": 2, "bob": 2, "cid": 2}
    handed += batch
    while batch := steps.take(8):
        handed += batch
    assert_dense(handed)
    assert len(handed) == 106


def test_large_transaction_goes_on_while_small_ones_fill_every_step(at: cursor, steps: Steps) -> None:
    """A quarter of each step is its own."""
    insert_orders(at, ["ann"], 20)
    numbered = 0
    for _ in range(5):
        for _ in range(10):
            insert_orders(at, ["bob"], 1)
        numbered += sum(event.user_id == "ann" for event in steps.take(8))
    assert numbered == 10


def test_open_transaction_delays_nobody_and_is_numbered_when_it_commits(
    database: str, at: cursor, steps: Steps
) -> None:
    """Not "all before the oldest open one": others pass it by, over many steps, and it is not forgotten."""
    with opened(database, autocommit=False) as writer, writer.cursor() as writing:
        insert_order(writing, "ann", symbol="LATE")
        handed = []
        for _ in range(5):
            insert_orders(at, ["ann", "bob"], 2)
            handed += steps.take()
        assert [event.seq for event in handed if event.user_id == "ann"] == [1, 2, 3, 4, 5]
        writer.commit()
    [late] = steps.take()
    assert (late.user_id, late.seq, late.position) == ("ann", 6, 11)
    assert "LATE" in late.body
    assert steps.take() == []


def test_transaction_that_commits_while_a_window_is_open_goes_first(database: str, at: cursor, steps: Steps) -> None:
    """It wrote before the large one did, so it saw nothing of it; its second statement did, and comes after."""
    with opened(database, autocommit=False) as writer, writer.cursor() as writing:
        insert_order(writing, "ann", symbol="LATE")
        insert_orders(at, ["ann"], 10)
        handed = steps.take(4)
        insert_order(writing, "ann", symbol="LATER")
        writer.commit()
    while batch := steps.take(4):
        handed += batch
    assert_dense(handed)
    assert ["LATE" in event.body for event in handed] == [False, True] + 9 * [False] + [True]


def test_open_transaction_with_many_savepoints_is_numbered_once(database: str, at: cursor, steps: Steps) -> None:
    """More subtransactions than Postgres keeps in memory: the snapshot knows them by their top transaction alone."""
    with opened(database, autocommit=False) as writer, writer.cursor() as writing:
        for n in range(100):
            writing.execute(f"savepoint s{n}")
            insert_order(writing, "ann")
            if n % 2:
                writing.execute(f"rollback to s{n}")
        insert_orders(at, ["bob"], 1)
        handed = steps.take()
        writer.commit()
    handed += steps.take()
    assert_dense(handed)
    assert len(handed) == 51


def test_transaction_that_rolls_back_late_leaves_no_hole(database: str, at: cursor, steps: Steps) -> None:
    """Its rows were never there to be numbered."""
    with opened(database, autocommit=False) as writer, writer.cursor() as writing:
        insert_order(writing, "ann")
        insert_orders(at, ["ann"], 1)
        handed = steps.take()
        writer.rollback()
    insert_orders(at, ["ann"], 1)
    handed += steps.take()
    assert_dense(handed)
    assert len(handed) == 2


def test_prepared_transaction_is_numbered_when_it_is_committed(new_database: Callable[..., str]) -> None:
    """It outlives its session, and is as open as any."""
    dsn = new_database(doorbell=False)
    with opened(dsn) as session, session.cursor() as at, opened(dsn, autocommit=False) as writer:
        steps = Steps(at)
        insert_order(writer.cursor(), "ann", symbol="PREPARED")
        writer.cursor().execute("prepare transaction 'orderstream'")
        insert_orders(at, ["ann"], 1)
        handed = steps.take() + steps.take()
        run(dsn, "commit prepared 'orderstream'")
        handed += steps.take()
    assert_dense(handed)
    assert ["PREPARED" in event.body for event in handed] == [False, True]


def test_next_leader_goes_on_within_an_open_window(database: str, at: cursor) -> None:
    """The checkpoint is all that a leader knows, so another one needs no more."""
    insert_orders(at, ["ann", "bob"], 30)
    with opened(database) as first:
        handed = Steps(first.cursor()).take(7)
    insert_orders(at, ["ann"], 2)
    steps = Steps(at)
    while batch := steps.take(7):
        handed += batch
    assert_dense(handed)
    assert len(handed) == 32


async def test_sequencer_hands_over_each_event_once_in_order(database: str) -> None:
    """The same through the running sequencer, with steps smaller than a transaction."""
    async with sequencing(database, batch_max_events=10) as numbered:
        with opened(database) as session, session.cursor() as at:
            for _ in range(5):
                insert_orders(at, ["ann", "bob", "cid"], 33)
        await eventually(lambda: len(numbered.events) >= 165)
    assert numbered.events == committed_events(database)
    assert_dense(numbered.events)


async def test_what_was_handed_over_survives_a_crash_whatever_the_platform_chose(private_postgres: TestServer) -> None:
    """A platform may commit without waiting for the disk; numbers that were shown must not be given out again."""
    private_postgres.execute("alter system set wal_writer_delay = '10s'")
    private_postgres.execute("select pg_reload_conf()")
    name = private_postgres.create_database()
    private_postgres.execute(f"alter database {name} set synchronous_commit = off")
    dsn = private_postgres.dsn(name)
    async with sequencing(dsn) as numbered:
        with opened(dsn) as session:
            insert_order(session.cursor(), "ann")
        await eventually(lambda: numbered.events)
        private_postgres.stop(immediate=True)
        private_postgres.start()
    assert committed_events(dsn) == numbered.events


async def test_prepared_transaction_reaches_the_running_sequencer(new_database: Callable[..., str]) -> None:
    """Where nobody rings, the sequencer looks."""
    dsn = new_database(doorbell=False)
    async with sequencing(dsn) as numbered:
        await eventually(lambda: numbered.leading)
        with opened(dsn, autocommit=False) as writer:
            insert_order(writer.cursor(), "ann")
            writer.cursor().execute("prepare transaction 'orderstream'")
        run(dsn, "commit prepared 'orderstream'")
        await eventually(lambda: numbered.events)
    assert numbered.meter.counts["slept"] == 0


def trade(at: cursor, order_id: str, filled: int, traded: int, status: str = "partially_filled") -> None:
    """A fill as an order service writes it."""
    at.execute(
        "begin;"
        "insert into public.executions (order_id, symbol, side, quantity, price) values (%s, 'AAPL', 'buy', %s, 1);"
        "update public.orders set filled_quantity = %s, status = %s where id = %s; commit",
        (order_id, traded, filled, status, order_id),
    )


def verdicts(events: Sequence[SequencedEvent]) -> list[str | None]:
    return [json.loads(event.body).get("check", {}).get("rule") for event in events]


async def test_odd_change_is_told_as_odd_in_the_same_bytes_to_all(database: str, at: cursor) -> None:
    """Handed over, kept for replays, and read by the other processes: one verdict, at the end of its transaction."""
    async with sequencing(database) as numbered:
        order_id = insert_order(at, "ann")
        trade(at, order_id, filled=4, traded=4)
        trade(at, order_id, filled=9, traded=4)
        await eventually(lambda: len(numbered.events) == 5)
    assert verdicts(numbered.events) == [None, None, None, None, "trade-quantity"]
    assert numbered.events == committed_events(database)
    assert (numbered.meter.counts["checked"], numbered.meter.counts["unchecked"]) == (1, 0)


async def test_next_leader_knows_the_past_of_an_order(database: str, at: cursor) -> None:
    """From the events that are kept."""
    order_id = insert_order(at, "ann")
    trade(at, order_id, filled=4, traded=4)
    async with sequencing(database) as numbered:
        await eventually(lambda: len(numbered.events) == 3)
    async with sequencing(database) as numbered:
        trade(at, order_id, filled=9, traded=4)
        await eventually(lambda: len(numbered.events) == 2)
    assert verdicts(numbered.events) == [None, "trade-quantity"]


def test_past_of_an_order_is_read_without_its_users_other_events(at: cursor, steps: Steps) -> None:
    """Also before anything is known of the table: a bulk insert's first hundred thousand come before any statistics."""
    insert_orders(at, ["ann"], 1000)
    steps.take()
    at.execute("select array_agg(id::text) from public.orders")
    [(order_ids,)] = at.fetchall()
    at.execute(f"set enable_seqscan = off; set plan_cache_mode = force_generic_plan; {PREPARE_PASTS}")
    asked = {"user_ids": ["ann"] * 100, "order_ids": order_ids[:100]}
    at.execute(f"explain (analyze, format json) {PASTS}", asked)
    [([plan],)] = at.fetchall()
    assert max(rows_read(plan["Plan"])) < 10


def rows_read(plan: dict[str, Any]) -> Iterator[float]:
    """Of each scan of `events` and its indexes, each time."""
    if "events" in plan.get("Relation Name", "") + plan.get("Index Name", ""):
        yield plan["Actual Rows"]
    for part in plan.get("Plans", []):
        yield from rows_read(part)


async def test_transaction_that_is_split_over_steps_is_judged_in_the_end(database: str, at: cursor) -> None:
    """One event a step. Fills whose rows come first and executions after are fine; rows that lack theirs are odd, the
    last one at once, the others when their order changes again."""
    async with sequencing(database, batch_max_events=1) as numbered:
        orders = [insert_order(at, "ann") for _ in range(3)]
        at.execute(
            "begin; update public.orders set filled_quantity = 1, status = 'partially_filled';"
            "insert into public.executions (order_id, symbol, side, quantity) select id, 'A', 'buy', 1 from orders;"
            "commit;"
            "update public.orders set filled_quantity = 2"
        )
        await eventually(lambda: len(numbered.events) == 12)
        assert Counter(verdicts(numbered.events)) == {None: 11, "unreported": 1}
        for count, order_id in enumerate(orders, 1):
            trade(at, order_id, filled=3, traded=1)
            await eventually(lambda count=count: len(numbered.events) == 12 + 2 * count)
    assert_dense(numbered.events)
    assert Counter(verdicts(numbered.events)) == {None: 15, "unreported": 3}


@pytest.mark.parametrize("broken", [("filled_quantity", "NaN"), ("reason", "x" * 100_000), ("status", "\x01 '\"\\")])
async def test_what_nobody_can_judge_is_numbered(database: str, at: cursor, broken: tuple[str, str]) -> None:
    """Nothing that an order says may stop the events of others."""
    async with sequencing(database) as numbered:
        order_id = insert_order(at, "ann")
        at.execute(f"update public.orders set {broken[0]} = %s where id = %s", (broken[1], order_id))
        insert_order(at, "bob")
        await eventually(lambda: len(numbered.events) == 3)
    assert numbered.events == committed_events(database)


async def test_checker_that_fails_stops_nothing(database: str, at: cursor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in it is a line in the log; the events have their numbers, and no verdict."""
    with monkeypatch.context() as patched:
        patched.setattr(Checker, "judge", lambda *_, **__: {}["bug"])
        async with sequencing(database) as numbered:
            order_id = insert_order(at, "ann")
            trade(at, order_id, filled=99, traded=1)
            await eventually(lambda: len(numbered.events) == 3)
    assert verdicts(numbered.events) == [None] * 3
    assert numbered.meter.counts["unchecked"] > 0


def test_epoch_that_begins_within_a_step_ends_it(at: cursor, steps: Steps) -> None:
    """What was read before it is not numbered after it: whoever asks gets a snapshot that contains it."""
    insert_orders(at, ["ann"], 3)
    seen = steps.look()
    at.execute("select orderstream.new_epoch()")
    assert steps.number(seen) == []
    insert_orders(at, ["ann"], 1)
    assert [event.seq for event in steps.take()] == [1]


async def test_step_that_takes_too_long_is_followed_by_one_of_half_its_size(database: str) -> None:
    """A database that is slower than the time-out allows for a whole step is not asked for as much again and again."""
    # So slow that whoever waits is told of the time-out first, however busy the machine is.
    slow = "begin if (select count(*) from made) > 32 then perform pg_sleep(5); end if; return null; end"
    run(
        database,
        f"create function public.slow() returns trigger language plpgsql as $$ {slow} $$;"
        "create trigger slow after insert on orderstream.event_rows referencing new table as made for each statement "
        "execute function public.slow()",
    )
    with opened(database) as writer:
        for _ in range(128):
            insert_order(writer.cursor(), "ann")
    async with sequencing(database, batch_max_events=64, query_timeout_s=2.0) as numbered:
        await eventually(lambda: len(committed_events(database)) == 128)
    assert numbered.meter.counts["database_error"] >= 1
    positions = [position for (position,) in run(database, "select position from orderstream.checkpoints order by id")]
    sizes = [after - before for before, after in pairwise(positions) if after > before]
    # What was given up may have come to its end by itself.
    assert sizes[0] <= 32 or sizes[1] <= share_of(32)


async def test_window_of_an_earlier_version_is_told_once_by_this_one(database: str) -> None:
    """Its leader left what has its number in the outbox, above rows that are committed later."""
    keep = "begin return null; end"
    run(
        database,
        f"create function public.keep() returns trigger language plpgsql as $$ {keep} $$;"
        "create trigger keep before delete on orderstream.outbox_rows for each row execute function public.keep()",
    )
    with opened(database, autocommit=False) as early, opened(database) as session, session.cursor() as at:
        insert_orders(early.cursor(), ["bob"], 10)
        insert_orders(at, ["ann"], 20)
        steps = Steps(at)
        numbered = [steps.take(8) for _ in range(4)]
        early.commit()
        at.execute("drop trigger keep on orderstream.outbox_rows")
    assert all(numbered)
    async with sequencing(database, batch_max_events=8):
        await eventually(lambda: len(committed_events(database)) >= 30)
    assert_dense(committed_events(database))
    assert len({json.loads(event.body)["order"]["id"] for event in committed_events(database)}) == 30
    assert len(committed_events(database)) == 30
