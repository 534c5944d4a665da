"""Stopping: SIGTERM sends everybody elsewhere, spread, and ends in the time configured; a second one ends at once."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from orderstream.web.slim import LEAST_RETRY_MS
from tests.services import ServiceProcess
from tests.system.clients import Stream, open_stream, poll
from tests.system.tables import write_orders
from tests.waiting import eventually

STREAMS = 20
SPREAD_S = 8.0


@pytest.fixture
async def served(database: str) -> AsyncIterator[ServiceProcess]:
    """It would take a minute to stop if it waited for its streams."""
    async with ServiceProcess(database, drain_spread_s=SPREAD_S, drain_timeout_s=60.0) as process:
        await process.ready()
        yield process


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def opened(stack: AsyncExitStack, session: aiohttp.ClientSession, served: ServiceProcess) -> list[Stream]:
    """Live streams, of several users."""
    streams = [
        await stack.enter_async_context(open_stream(session, served, f"user-{number % 5}")) for number in range(STREAMS)
    ]
    await asyncio.gather(*[stream.until("live") for stream in streams])
    return streams


@pytest.mark.system
async def test_sigterm_sends_streams_away_spread_and_answers_polls(
    served: ServiceProcess, session: aiohttp.ClientSession
) -> None:
    """`goaway` is the last of every stream and says when to come back, each at another time; a held poll is answered as
    if its time were up; it ends with 0, long before the time allowed, and the port is free."""
    async with AsyncExitStack() as stack:
        streams = await opened(stack, session, served)
        cursor = (await poll(session, served, "ann")).cursor
        held = asyncio.create_task(poll(session, served, "ann", cursor, wait_s=50))
        await in_flight(session, served, "poll")
        served.stop()
        rests = await asyncio.gather(*[stream.rest() for stream in streams])
        answer = await held
        assert await served.wait() == 0

    assert (answer.status, answer.cursor) == (304, cursor)
    goaways = [rest[-1] for rest in rests]
    assert {(one.event, one.data["reason"], one.data["reconnect"]) for one in goaways} == {("goaway", "drain", True)}
    afters_ms = sorted(one.data["after_ms"] for one in goaways)
    assert 0 <= afters_ms[0] < afters_ms[-1] <= SPREAD_S * 1000
    # Twenty that are spread evenly lie in less than a quarter of the time once in a billion runs.
    assert afters_ms[-1] - afters_ms[0] > SPREAD_S * 1000 / 4
    # An EventSource does not read the goaway; it is told by `retry`, right before.
    assert [rest[-2].data for rest in rests] == [max(LEAST_RETRY_MS, one.data["after_ms"]) for one in goaways]
    socket.create_server(("127.0.0.1", served.port)).close()
    assert {line["reason"] for line in served.logs("stream-closed")} == {"drain"}


@asynccontextmanager
async def deaf_client(database: str, served: ServiceProcess) -> AsyncIterator[None]:
    """It asked for a snapshot of megabytes, and reads nothing."""
    write_orders(database, "ann", 4000)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", served.port))
        credential = served.bearer("ann")["Authorization"]
        deaf.sendall(f"GET /v1/orders/stream HTTP/1.1\r\nHost: x\r\nAuthorization: {credential}\r\n\r\n".encode())
        await served.logged("stream-opened")
        yield


@pytest.mark.system
async def test_drain_ends_in_its_time_when_a_client_takes_no_bytes(database: str) -> None:
    """What nobody reads is cut off."""
    async with ServiceProcess(database, drain_timeout_s=1.0, send_timeout_s=600.0) as served:
        await served.ready()
        async with deaf_client(database, served):
            served.stop()
            assert await served.wait() == 0


@pytest.mark.system
@pytest.mark.parametrize("signal", [ServiceProcess.stop, ServiceProcess.interrupt], ids=["SIGTERM", "SIGINT"])
async def test_second_signal_ends_at_once(
    signal: Callable[[ServiceProcess], None], served: ServiceProcess, database: str
) -> None:
    """An operator who is in a hurry is not kept by a drain that would wait for a minute here."""
    async with deaf_client(database, served):
        signal(served)
        await served.logged("draining")
        signal(served)
        assert await served.wait() == 130


async def in_flight(session: aiohttp.ClientSession, served: ServiceProcess, transport: str) -> None:
    """Returns once the metrics count an open delivery of that transport."""

    async def counted() -> bool:
        async with session.get(f"{served.admin_url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return any(f'transport="{transport}"' in line and "open" in line and line.endswith(" 1.0") for line in lines)

    await eventually(counted)
