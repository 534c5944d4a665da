"""A restore under a running service: what needs the database is told to wait, and then begins anew in a new epoch."""

import subprocess
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from tests.postgres.servers import TestServer
from tests.services import RunningService, running_service
from tests.system.clients import expect_unavailable, open_stream, until_ready
from tests.system.tables import epoch_of, execute, write_orders

ORDERS_IN_THE_DUMP = 3


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def served(database: str) -> AsyncIterator[RunningService]:
    async with running_service(database, heartbeat_s=0.2, safety_net_s=0.5, vitals_every_s=0.5) as running:
        yield running


@pytest.fixture
def dump(postgres: TestServer, database: str) -> Callable[[str], bytes]:
    """What pg_dump gives of a section of the database."""

    def dumped(section: str) -> bytes:
        command = [postgres.bin_path / "pg_dump", f"--section={section}", "-d", database]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return dumped


@pytest.fixture
def restore(postgres: TestServer, database: str) -> Callable[[bytes], None]:
    """Runs a section's statements in one transaction."""

    def restored(statements: bytes) -> None:
        command = [postgres.bin_path / "psql", "-q1", "-v", "ON_ERROR_STOP=1", "-d", database]
        subprocess.run(command, input=statements, check=True, capture_output=True)

    return restored


@pytest.mark.system
async def test_older_dump_is_restored_under_a_running_service(
    database: str,
    served: RunningService,
    session: aiohttp.ClientSession,
    dump: Callable[[str], bytes],
    restore: Callable[[bytes], None],
) -> None:
    """While there are no tables, and then tables without an epoch, an open stream beats on and nothing is promised;
    then it is reset to what the dump holds, in an epoch that nobody heard of, and goes on from there."""
    async with open_stream(session, served, "ann") as stream:
        await stream.until("live")
        write_orders(database, "ann", ORDERS_IN_THE_DUMP)
        for _ in range(ORDERS_IN_THE_DUMP):
            old = (await stream.until("order"))[-1].id
        tables, rows, triggers = dump("pre-data"), dump("data"), dump("post-data")
        write_orders(database, "ann", 2)
        for _ in range(2):
            lost = (await stream.until("order"))[-1].id

        execute(database, "drop schema orderstream cascade; drop schema public cascade; create schema public")
        await until_ready(session, served, False)
        await expect_unavailable(session, served)
        restore(tables)
        await expect_unavailable(session, served)
        assert (await stream.until("heartbeat"))[-1].data["head"] == lost
        await until_ready(session, served, False)

        restore(rows + triggers)
        [*beats, reset, _, end, _] = await stream.until("live")
        assert {beat.event for beat in beats} <= {"heartbeat"}
        assert (reset.data["reason"], end.data["orders"]) == ("epoch-changed", ORDERS_IN_THE_DUMP)
        assert end.id.partition(".")[0] == epoch_of(database) != old.partition(".")[0]
        write_orders(database, "ann", 1)
        assert (await stream.until("order"))[-1].id == f"{epoch_of(database)}.{ORDERS_IN_THE_DUMP + 1}"
        await until_ready(session, served, True)
    # No part of it gave up: a process that lost one ends.
    assert not served.service.failed.done()
