"""The database goes away and comes back: streams stay open, what needs it is told to wait, nothing is lost."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from psycopg2.extensions import parse_dsn

from tests.postgres.servers import TestServer
from tests.services import RunningService, ServiceProcess, running_service
from tests.system.clients import expect_unavailable, get, next_orders, open_stream, poll, until_ready
from tests.system.tables import execute, write_orders


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def lost(private_postgres: TestServer) -> str:
    """The dsn of a database that may be lost."""
    name = private_postgres.create_database()
    # A copy of a template takes the sequences' prefetched values along, unlogged: a crash before the next checkpoint
    # would give the same ids out again.
    private_postgres.execute("checkpoint")
    return private_postgres.dsn(name)


@pytest.fixture
async def served(lost: str) -> AsyncIterator[RunningService]:
    async with running_service(lost, heartbeat_s=0.2, vitals_every_s=0.5) as running:
        yield running


@pytest.mark.system
@pytest.mark.parametrize("immediate", [False, True], ids=["stopped", "crashed"])
@pytest.mark.every_postgres
async def test_service_goes_on_when_the_database_was_away(
    immediate: bool, private_postgres: TestServer, lost: str, served: RunningService, session: aiohttp.ClientSession
) -> None:
    """An open stream keeps beating and says how far we know; whoever needs the database is told when to ask again; then
    all goes on, on the same connections and without a hole."""
    epoch = served.service.hub.epoch
    async with open_stream(session, served, "ann") as stream:
        await stream.until("live")
        write_orders(lost, "ann", 2)
        assert await next_orders(stream, 2) == [f"{epoch}.1", f"{epoch}.2"]

        private_postgres.stop(immediate=immediate)
        await until_ready(session, served, False)
        for _ in range(3):
            beat = (await stream.until("heartbeat"))[-1]
            assert beat.data["head"] == f"{epoch}.2"
        assert (await poll(session, served, "ann", f"{epoch}.1")).cursor == f"{epoch}.2"
        await expect_unavailable(session, served)

        private_postgres.start()
        write_orders(lost, "ann", 2)
        assert await next_orders(stream, 2) == [f"{epoch}.3", f"{epoch}.4"]
        await until_ready(session, served, True)
        assert len((await get(session, served, "ben", "/v1/orders")).body["orders"]) == 0
        async with open_stream(session, served, "ann", header=f"{epoch}.2") as again:
            assert await next_orders(again, 2) == [f"{epoch}.3", f"{epoch}.4"]


@pytest.mark.system
async def test_nothing_is_lost_when_sessions_are_terminated_again_and_again(
    lost: str, served: RunningService, session: aiohttp.ClientSession
) -> None:
    """Follower, sequencer and readers find their way back each time; every event comes once, in order."""
    epoch = served.service.hub.epoch
    rounds = 3
    async with open_stream(session, served, "ann") as stream:
        await stream.until("live")
        for done in range(rounds):
            write_orders(lost, "ann", 1)
            execute(
                lost,
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'orderstream%%'",
            )
            write_orders(lost, "ann", 1)
            assert await next_orders(stream, 2) == [f"{epoch}.{2 * done + 1}", f"{epoch}.{2 * done + 2}"]
        await until_ready(session, served, True)
        assert len((await get(session, served, "ann", "/v1/orders")).body["orders"]) == 2 * rounds


@pytest.mark.system
async def test_real_service_outlives_a_database_on_the_network(
    private_postgres: TestServer, lost: str, session: aiohttp.ClientSession
) -> None:
    """Over TCP, by a name with more than one address, on the event loop of `serve`: a refused port ends nothing."""
    port = private_postgres.tcp_port
    database = f"postgresql://postgres@localhost:{port}/{parse_dsn(lost)['dbname']}"
    async with ServiceProcess(database, vitals_every_s=0.5) as served:
        await served.ready()
        async with open_stream(session, served, "ann") as stream:
            await stream.until("live")
            private_postgres.stop(immediate=True)
            await until_ready(session, served, False)
            private_postgres.start()
            write_orders(lost, "ann", 2)
            assert len(await next_orders(stream, 2)) == 2
        await until_ready(session, served, True)
