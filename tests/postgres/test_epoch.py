"""Epochs: made at the first migration; renewed by hand, and where it was begun on another cluster or timeline."""

import asyncio
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orderstream.postgres import epoch
from orderstream.postgres.follower import Follower
from orderstream.postgres.queries import query
from tests.hub_world import Client
from tests.postgres.feed import CountingMeter, committed_events, insert_order, opened, run, sequencing
from tests.postgres.publishing import Recorder, following
from tests.postgres.servers import TestServer
from tests.services import PATIENCE_S, running_service
from tests.waiting import eventually

WAITS = "select 1 from pg_locks where relation = 'orderstream.checkpoints'::regclass and not granted"


def in_force(dsn: str) -> str:
    [(name,)] = run(dsn, "select epoch from orderstream.epochs order by id desc limit 1")
    return str(name)


def test_epoch_is_made_at_the_first_migration(database: str) -> None:
    """On this cluster and timeline, so the first leader has nothing to renew."""
    [(reason, shape)] = run(database, "select reason, epoch ~ '^[0-9a-f]{8}$' from orderstream.epochs")
    assert (reason, shape) == ("first migration", True)
    assert run(database, query("renew_epoch")) == []


async def test_step_that_waited_for_a_new_epoch_numbers_under_it(database: str) -> None:
    """Postgres takes the snapshot of a prepared statement that writes after its locks: with an older one the step would
    number under an epoch that is over."""
    async with sequencing(database) as numbered:
        await eventually(lambda: numbered.meter.counts["slept"])
        with opened(database, autocommit=False) as renewing, opened(database) as writer:
            renewing.cursor().execute("select orderstream.new_epoch()")
            insert_order(writer.cursor(), "ann")
            await eventually(lambda: run(database, WAITS))
            renewing.commit()
        await eventually(lambda: numbered.events)
    assert [event.epoch for event in numbered.events] == [in_force(database)]


async def test_new_epoch_under_writers_loses_nothing_that_a_snapshot_does_not_hold(database: str) -> None:
    """Whole services' clients, reset again and again, end with every order at its newest version."""

    def write(user_id: str) -> None:
        with opened(database) as writer, writer.cursor() as at:
            ids = [insert_order(at, user_id) for _ in range(5)]
            for n in range(200):
                at.execute("update public.orders set quantity = quantity + 1 where id = %s", (ids[n % 5],))

    users = ["ann", "bob", "cid"]
    async with running_service(database) as running:
        clients = [Client(user_id).connect(running.service.hub) for user_id in users]
        writing = asyncio.gather(*(asyncio.to_thread(write, user_id) for user_id in users))
        for _ in range(5):
            await asyncio.to_thread(epoch.renew, database)
            await eventually(
                lambda: all(client.cursor and client.cursor[:8] == in_force(database) for client in clients)
            )
        await writing
        for client in clients:
            await eventually(lambda: client.orders == versions(database, client.user_id))  # noqa: B023
            assert set(client.resets) == {"epoch-changed"}
            old = Client(client.user_id, "00000000.3").connect(running.service.hub)
            await eventually(lambda: old.orders == client.orders)  # noqa: B023
            assert old.resets == ["epoch-changed"]


def versions(dsn: str, user_id: str) -> dict[str, int]:
    return dict(run(dsn, "select id::text, version from public.orders where user_id = %s", (user_id,)))


def take_epochs_away(dsn: str) -> Callable[[], object]:
    """As amid a restore; what it gives brings them back."""
    run(dsn, "create table kept as table orderstream.epochs; delete from orderstream.epochs")
    return lambda: run(dsn, "insert into orderstream.epochs overriding system value table kept")


async def test_nobody_leads_while_there_is_no_epoch(database: str) -> None:
    """Nothing is numbered under none; what waited is, once there is one."""
    restore_epochs = take_epochs_away(database)
    with opened(database) as writer:
        insert_order(writer.cursor(), "ann")
    async with sequencing(database) as numbered:
        await eventually(lambda: numbered.meter.counts["database_error"] >= 2)
        assert (numbered.meter.counts["took_over"], committed_events(database)) == (0, [])
        restore_epochs()
        await eventually(lambda: numbered.events)
    assert [(event.epoch, event.seq) for event in numbered.events] == [(in_force(database), 1)]


async def test_follower_whose_epoch_is_gone_waits_for_one(database: str) -> None:
    """It is not ready meanwhile, and has missed nothing afterwards."""
    recorder, meter = Recorder(), CountingMeter()
    async with following(Follower(database, recorder, meter, probe_s=0.05, timeout_s=PATIENCE_S)) as follower:
        restore_epochs = take_epochs_away(database)
        await eventually(lambda: not follower.connected.is_set())
        restore_epochs()
        await eventually(follower.connected.is_set)
        async with sequencing(database):
            with opened(database) as writer:
                insert_order(writer.cursor(), "ann")
            await eventually(lambda: recorder.events)
    assert (recorder.positions, recorder.epochs, recorder.forgot) == ([1], [in_force(database)], 0)


@pytest.fixture
def only_18(postgres: TestServer) -> None:
    # What is ours here is one comparison of two names, which every version gives alike; a second server costs seconds.
    if postgres.version != 18:
        pytest.skip("tested on 18 alone")


@contextmanager
def second_server(postgres: TestServer) -> Iterator[TestServer]:
    with tempfile.TemporaryDirectory(prefix="orderstream-test-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = TestServer(Path(folder), postgres.name)
        try:
            yield server
        finally:
            server.close()


async def assert_goes_on(
    dsn: str, old_cursor: str, reason: str = "the Postgres cluster or its timeline changed"
) -> None:
    """A service there renews the epoch, resets the old cursor, and delivers what is written from now on."""
    async with running_service(dsn) as running:
        client = Client("ann", old_cursor).connect(running.service.hub)
        await eventually(lambda: client.orders == versions(dsn, "ann"))
        with opened(dsn) as writer:
            insert_order(writer.cursor(), "ann")
        await eventually(lambda: client.orders == versions(dsn, "ann"))
    assert client.resets == ["epoch-changed"]
    assert client.names[-1] == "order"
    assert run(dsn, "select reason from orderstream.epochs order by id desc limit 1") == [(reason,)]


async def known_cursor(dsn: str) -> str:
    """Of ann, who has some orders, one of them numbered and one still in the outbox."""
    async with sequencing(dsn) as numbered:
        with opened(dsn) as writer:
            insert_order(writer.cursor(), "ann")
        await eventually(lambda: numbered.events)
    with opened(dsn) as writer:
        insert_order(writer.cursor(), "ann")
    return f"{numbered.events[-1].epoch}.{numbered.events[-1].seq}"


@pytest.mark.usefixtures("only_18")
async def test_promoted_standby_renews_the_epoch(private_postgres: TestServer) -> None:
    """A fail-over may have lost what was promised: the timeline tells."""
    dsn = private_postgres.dsn(private_postgres.create_database())
    cursor, name = await known_cursor(dsn), dsn.split("/")[3].split("?")[0]
    with second_server(private_postgres) as standby:
        standby._run("pg_basebackup", "-d", private_postgres.dsn(), "--write-recovery-conf", "--checkpoint=fast")
        standby.start()
        private_postgres.stop()
        standby._run("pg_ctl", "promote", "-w")
        await assert_goes_on(standby.dsn(name), cursor)


@pytest.mark.usefixtures("only_18")
async def test_database_restored_into_another_cluster_renews_the_epoch(postgres: TestServer, database: str) -> None:
    """Its checkpoint holds transaction ids of the old one, far ahead here, that would hide all new rows."""
    cursor = await known_cursor(database)
    run(
        database,
        "insert into orderstream.checkpoints (numbered, position) "
        "select '900000000:900000000:', position from orderstream.checkpoints order by id desc limit 1",
    )
    dump = subprocess.run([postgres.bin_path / "pg_dump", "-d", database], check=True, capture_output=True).stdout
    with second_server(postgres) as other:
        other.start()
        other.execute("create database restored")
        other.execute("alter database restored set orderstream.doorbell = 'on'")
        restored = other.dsn("restored")
        subprocess.run(
            [postgres.bin_path / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", restored],
            input=dump,
            check=True,
            capture_output=True,
        )
        await assert_goes_on(restored, cursor)
