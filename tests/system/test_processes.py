"""`orderstream serve --processes 2`: one port, two processes, and what keeps them running."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.ports import free_ports
from tests.services import START_PATIENCE_S, ServiceProcess
from tests.system.clients import Stream, open_stream
from tests.system.tables import write_orders
from tests.waiting import eventually

STREAMS = 40


class Processes(ServiceProcess):
    """Two of them; `workers` are their ids, as they were started."""

    program = ("-m", "orderstream.cli", "serve", "--processes", "2")

    def __init__(self, database: str) -> None:
        port = free_ports(2)
        self.admin_urls = [f"http://127.0.0.1:{port + worker}" for worker in range(2)]
        super().__init__(database, admin_listen=f"127.0.0.1:{port}", canary_user="canary", canary_every_s=0.1)
        self.admin_port = port

    async def ready(self) -> None:
        """Returns once both take connections."""
        await self.logged("serving", 2, within_s=START_PATIENCE_S)

    @property
    def workers(self) -> list[int]:
        return [line["pid"] for line in self.logs("worker-started")]


@pytest.fixture
async def served(database: str) -> AsyncIterator[Processes]:
    async with Processes(database) as processes:
        await processes.ready()
        yield processes


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def opened(stack: AsyncExitStack, session: aiohttp.ClientSession, served: Processes) -> list[Stream]:
    streams = [await stack.enter_async_context(open_stream(session, served, "ann")) for _ in range(STREAMS // 2)]
    streams += [await stack.enter_async_context(open_stream(session, served, "ben")) for _ in range(STREAMS // 2)]
    await asyncio.gather(*[stream.until("live") for stream in streams])
    return streams


async def counted(session: aiohttp.ClientSession, admin_url: str, series: str) -> float:
    """A sample of that process's own metrics; 0 where there is none."""
    async with session.get(f"{admin_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), 0.0)


async def streams_of(session: aiohttp.ClientSession, served: Processes) -> list[float]:
    return [await counted(session, url, 'orderstream_connects_total{transport="sse"}') for url in served.admin_urls]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.system
async def test_processes_share_a_port_and_their_users(
    served: Processes, session: aiohttp.ClientSession, database: str
) -> None:
    """Both take connections, a user's streams on either get the user's events, and SIGTERM drains both."""
    async with AsyncExitStack() as stack:
        streams = await opened(stack, session, served)
        # The canary of each comes to its own process, as it must, and has a stream there too.
        assert min(await streams_of(session, served)) > 1
        write_orders(database, "ann", 1)
        write_orders(database, "ben", 1)
        await asyncio.gather(*[stream.until("order") for stream in streams])
        served.stop()
        rests = await asyncio.gather(*[stream.rest() for stream in streams])
        assert await served.wait() == 0
    assert {(rest[-1].event, rest[-1].data["reason"]) for rest in rests} == {("goaway", "drain")}
    assert len(served.logs("stopped")) == 2


@pytest.mark.system
async def test_canary_of_each_process_hears_of_its_changes(served: Processes, session: aiohttp.ClientSession) -> None:
    """Its connection comes to the process that knows its credential, although the port is shared."""

    async def heard() -> bool:
        series = 'orderstream_canary_seconds_count{transport="sse"}'
        return all([await counted(session, url, series) for url in served.admin_urls])

    await eventually(heard)


@pytest.mark.system
async def test_process_that_is_killed_comes_back(served: Processes, session: aiohttp.ClientSession) -> None:
    """The other goes on meanwhile, and both serve again."""
    killed, other = served.workers
    os.kill(killed, signal.SIGKILL)
    await served.logged("worker-ended", status=-signal.SIGKILL)
    async with open_stream(session, served, "ann") as stream:
        await stream.until("live")
    await served.logged("serving", 3, within_s=START_PATIENCE_S)
    assert is_running(other)
    await served.logged("worker-started", 3)
    async with AsyncExitStack() as stack:
        await opened(stack, session, served)
        assert min(await streams_of(session, served)) > 1


@pytest.mark.system
async def test_processes_end_when_their_supervisor_is_killed(served: Processes) -> None:
    """Nobody would pass a signal on to them any more; they drain."""
    workers = served.workers
    served.kill()
    await served.logged("stopped", 2)
    await eventually(lambda: not any(map(is_running, workers)))


@pytest.mark.system
async def test_processes_refuse_a_port_that_somebody_has(database: str) -> None:
    """One line and status 2, as one process does: shared, the port would be both's."""
    processes = Processes(database)
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", processes.port), processes:
        assert await processes.wait(START_PATIENCE_S) == 2
    assert [line.partition(": ")[2] for line in processes.said] == [
        f"cannot listen on 127.0.0.1:{processes.port} (listen): Address already in use"
    ]


@pytest.mark.system
async def test_processes_end_with_the_status_of_one_that_cannot_start(database: str) -> None:
    """The port of the second's metrics is taken, which its operator has to put right: to try again fills the log."""
    processes = Processes(database)
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", processes.admin_port + 1), processes:
        assert await processes.wait(START_PATIENCE_S) == 2
    assert processes.logs("worker-ended") == []
