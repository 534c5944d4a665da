"""What is measured of a cluster: whether it takes writes, its clock, its queue of notifications."""

import time
from collections.abc import Callable

import pytest

from orderstream.doctor.asking import Asker
from orderstream.doctor.cluster import Offset, check_clock, check_queue, measure_offset
from orderstream.doctor.findings import Verdict
from orderstream.postgres.connections import open_session
from tests.doctor.looks import WARNING, WRONG, look
from tests.postgres.feed import opened
from tests.postgres.servers import TestServer


async def measured(dsn: str, now: Callable[[], float] = time.time) -> Offset:
    session = await open_session(dsn, name="test", timeout_s=10)
    try:
        return await measure_offset(Asker(session), now)
    finally:
        await session.close()


async def test_standby_is_found(private_postgres: TestServer) -> None:
    """Where everything can be read and nothing numbered."""
    dsn = private_postgres.dsn(private_postgres.create_database())
    private_postgres.stop()
    (private_postgres._cluster / "standby.signal").touch()
    private_postgres.start()
    found = await look(dsn)
    assert found.pop(("replication", WRONG)).startswith("database_url leads to a standby")
    assert list(found) == [("role", WARNING), ("leader", WRONG)]


async def test_clock_of_this_host_is_the_servers(database: str) -> None:
    """The truth lies within the uncertainty that is given."""
    offset = await measured(database)
    assert abs(offset.ahead_s) <= offset.uncertainty_s + 0.001
    assert check_clock(offset).verdict is Verdict.OK


async def test_clock_that_is_behind_the_servers_is_found(database: str) -> None:
    """By a server that is asked for its time."""
    finding = check_clock(await measured(database, lambda: time.time() - 90))
    assert finding.verdict is WRONG
    assert finding.what.startswith("the database's is 90.0 s ahead of this host's, give or take ")


@pytest.mark.parametrize(
    ("ahead_s", "uncertainty_s", "verdict"),
    [
        (0.04, 0.0, "ok"),
        (-0.06, 0.0, "warning"),
        (0.06, 0.05, "ok"),
        (-1.5, 0.1, "wrong"),
        (1.5, 2.0, "ok"),
    ],
)
def test_only_what_the_way_cannot_explain_is_held_against_a_clock(
    ahead_s: float, uncertainty_s: float, verdict: str
) -> None:
    """A slow network makes no clock wrong."""
    assert check_clock(Offset(ahead_s, uncertainty_s)).verdict == verdict


async def test_queue_that_a_listener_holds_up_is_found(private_postgres: TestServer) -> None:
    """One that listens and keeps a transaction open; the queue is made small, or this would take gigabytes."""
    private_postgres.execute("alter system set max_notify_queue_pages = 64")
    private_postgres.restart()
    dsn = private_postgres.dsn(private_postgres.create_database())
    with opened(dsn) as listener, opened(dsn) as writer:
        listener.cursor().execute("listen nothing")
        listener.cursor().execute("begin; select 1")
        # 64 pages of 8 KB: this is more than half of them.
        writer.cursor().execute("select pg_notify('nothing', n || repeat('x', 7000)) from generate_series(1, 40) n")
        said = (await look(dsn))[("notify queue", WRONG)]
    assert said.endswith("the doorbell is silent, and a full queue fails commits")


@pytest.mark.parametrize(("usage", "verdict"), [(0.0, "ok"), (0.049, "ok"), (0.05, "warning"), (0.5, "wrong")])
def test_queue_is_judged_by_its_usage(usage: float, verdict: str) -> None:
    """Half full is where the triggers stop to ring."""
    assert check_queue(usage).verdict == verdict
