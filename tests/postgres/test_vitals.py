"""A look at the database's side of the feed, against a real one."""

from collections.abc import AsyncIterator

import pytest

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.pool import Pool
from orderstream.postgres.vitals import ClockOffset, VitalsWatch
from tests.postgres.feed import CountingMeter, Steps, insert_order, insert_orders, opened, run, sequencing
from tests.services import PATIENCE_S
from tests.waiting import eventually


class Watched:
    """A watch on a database; `position` is how far its process followed."""

    def __init__(self, pool: Pool) -> None:
        self.position = 0
        self.watch = VitalsWatch(pool, CountingMeter(), lambda: self.position, every_s=60.0)


@pytest.fixture
async def watched(database: str) -> AsyncIterator[Watched]:
    pool = Pool(database, size=1, timeout_s=PATIENCE_S)
    yield Watched(pool)
    await pool.close()


async def test_what_waits_is_counted_until_it_is_numbered(watched: Watched, database: str) -> None:
    """With the age of the oldest; then it is what this process has not read."""
    with opened(database) as session, session.cursor() as at:
        steps = Steps(at)
        insert_order(at, "ann")
        insert_order(at, "bob")
        waiting = await watched.watch.look()
        steps.take()
        numbered = await watched.watch.look()
        watched.position = 2
        read = await watched.watch.look()
    assert (waiting.outbox_waiting_rows, numbered.outbox_waiting_rows, read.outbox_waiting_rows) == (2, 0, 0)
    assert waiting.outbox_oldest_s > 0 == numbered.outbox_oldest_s
    assert numbered.unread_s > 0 == read.unread_s


async def test_rows_of_an_open_window_wait_too(watched: Watched, database: str) -> None:
    """What a large transaction wrote, less what was taken of it."""
    with opened(database) as session, session.cursor() as at:
        steps = Steps(at)
        insert_orders(at, ["ann", "bob"], 10)
        steps.take(max_events=4)
        assert (await watched.watch.look()).outbox_waiting_rows == 9


async def test_open_transactions_do_not_wait_yet(watched: Watched, database: str) -> None:
    """What is not committed is nobody's delay."""
    with opened(database, autocommit=False) as session, session.cursor() as at:
        insert_order(at, "ann")
        assert (await watched.watch.look()).outbox_waiting_rows == 0


async def test_leader_is_seen_by_its_lock(watched: Watched, database: str) -> None:
    """Whichever process it is."""
    assert not (await watched.watch.look()).has_leader
    async with sequencing(database) as numbered:
        await eventually(lambda: numbered.leading)
        assert (await watched.watch.look()).has_leader


async def test_migrations_are_counted(watched: Watched, database: str) -> None:
    """Ours, without the platform's tables."""
    before = (await watched.watch.look()).migrations
    run(database, "delete from orderstream.migrations where set_name = 'tables' or number = 2")
    assert (await watched.watch.look()).migrations == before - 1


async def test_the_servers_clock_is_ours_on_one_machine(watched: Watched) -> None:
    """As close as can be measured, which is no offset."""
    await watched.watch.look()
    assert abs(watched.watch.clock_offset_s) < 0.001


async def test_look_fails_when_the_database_is_not_as_it_should_be(watched: Watched, database: str) -> None:
    """In the one way that its callers know."""
    run(database, "drop schema orderstream cascade")
    with pytest.raises(DatabaseUnavailable):
        await watched.watch.look()


@pytest.mark.parametrize(
    ("asked_at", "told", "answered_at", "offset_s"),
    [(10.0, 10.004, 10.01, 0.0), (10.0, 10.505, 10.01, 0.5), (10.0, 9.005, 10.01, -1.0), (10.0, 10.0, 10.0, 0.0)],
)
def test_clock_offset_is_what_the_way_does_not_explain(
    asked_at: float, told: float, answered_at: float, offset_s: float
) -> None:
    """A clock that was read between question and answer agrees with ours."""
    assert ClockOffset.measured(asked_at, told, answered_at).seconds == pytest.approx(offset_s)


def test_quickest_look_says_what_the_clocks_are_apart() -> None:
    """It leaves the least to guess."""
    looks = [ClockOffset.measured(0.0, 5.8, 1.0), ClockOffset.measured(2.0, 7.001, 2.002)]
    assert min(looks).seconds == pytest.approx(5.0)
