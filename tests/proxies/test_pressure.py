"""slowhttptest and h2load, which others wrote to wear servers down: the slow hold nobody up, and many are served."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.clients.programs import program
from tests.proxies.fronts import in_front, nginx
from tests.services import Address, ServiceProcess
from tests.system.clients import open_stream
from tests.system.tables import write_orders
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.system

USER = "ann"
ORDERS = 100
CONNECTIONS = 100
# So that it is the service that ends them, within a test's time; and not those who are held up for a moment.
SHORT = {
    "request_head_timeout_s": 4.0,
    "request_body_timeout_s": 4.0,
    "keepalive_timeout_s": 4.0,
    "send_timeout_s": 4.0,
}
# What it is called in the program's own words -> how it is asked for, and of what.
SLOW = {
    "SLOW HEADERS": ("-H", "-i", "1", "-u", "/v1/orders"),
    "SLOW BODY": ("-B", "-i", "1", "-u", "/v1/tickets"),
    "SLOW READ": ("-X", "-k", "3", "-w", "1", "-y", "512", "-u", "/v1/orders"),
}
REQUESTS = 400


class Attack:
    """slowhttptest of a kind, as one who may ask, until it is told to end or all its connections were closed."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self._saying = asyncio.create_task(said_by(child))

    @property
    def ended(self) -> bool:
        return self._child.returncode is not None

    async def end(self) -> str:
        """All that it printed."""
        if not self.ended:
            self._child.send_signal(signal.SIGINT)
        return await self._saying


@asynccontextmanager
async def attacking(address: Address, kind: str) -> AsyncIterator[Attack]:
    """Under way; gone after the block."""
    *how, path = SLOW[kind]
    size = ("-c", f"{CONNECTIONS}", "-r", f"{2 * CONNECTIONS}", "-l", "170", "-p", "20", "-v", "1")
    cookie = f"orderstream_jwt={address.jwt(USER)}"
    async with running("slowhttptest", *size, "-j", cookie, *how, address.url + path) as child:
        yield Attack(child)


@asynccontextmanager
async def running(name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        program(name), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def said_by(child: asyncio.subprocess.Process) -> str:
    """All that it printed, without its colours, once it has ended."""
    printed, _ = await child.communicate()
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode())


def availability(printed: str) -> set[str]:
    """What its probes found meanwhile."""
    return set(re.findall(r"service available:\s+(\w+)", printed))


async def test_slow_clients_are_ended_and_hold_nobody_up(database: str, session: aiohttp.ClientSession) -> None:
    """slowhttptest's heads, bodies and reads at once: its probes are answered, an open stream gets its event, and of
    its connections the service keeps none, also where the reader is still at it."""
    write_orders(database, USER, ORDERS)
    async with ServiceProcess(database, **SHORT) as service, AsyncExitStack() as stack:
        await service.ready()
        stream = await stack.enter_async_context(open_stream(session, service, USER))
        await stream.until("live")
        reads = await stack.enter_async_context(attacking(service, "SLOW READ"))
        await eventually(lambda: connected(service) > 1, within_s=PATIENCE_S)
        heads = await stack.enter_async_context(attacking(service, "SLOW HEADERS"))
        bodies = await stack.enter_async_context(attacking(service, "SLOW BODY"))
        await asyncio.to_thread(write_orders, database, USER, 1)
        await stream.until("order")
        await eventually(lambda: heads.ended and bodies.ended and connected(service) == 1, within_s=PATIENCE_S)
        assert not reads.ended
        printed = [await attack.end() for attack in (heads, bodies, reads)]
    assert [availability(one) for one in printed] == [{"YES"}] * len(SLOW)
    assert ["No open connections left" in one for one in printed] == [True, True, False]


def connected(service: ServiceProcess) -> int:
    """Clients' connections that it holds."""
    found = psutil.Process(service.pid).net_connections("tcp")
    return sum(one.laddr.port == service.port and one.status == psutil.CONN_ESTABLISHED for one in found)


@pytest.mark.usefixtures("certificate")
async def test_nginx_serves_http2_while_others_are_slow(
    database: str, services: tuple[ServiceProcess, ServiceProcess], tmp_path: Path
) -> None:
    """h2load's requests, twenty at a time on each connection, are all answered, and slowhttptest's probes too."""
    write_orders(database, USER, ORDERS)
    async with in_front(nginx, services, tmp_path, tls=True) as front, attacking(front, "SLOW HEADERS") as attack:
        bearer = f"authorization: Bearer {front.jwt(USER)}"
        many = ("-n", f"{REQUESTS}", "-c", "4", "-m", "20", "-H", bearer, f"{front.url}/v1/orders")
        async with running("h2load", *many) as child:
            printed = await said_by(child)
        attacked = await attack.end()
    assert "Application protocol: h2" in printed
    assert f"{REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout" in printed
    assert f"status codes: {REQUESTS} 2xx" in printed
    assert availability(attacked) == {"YES"}
