"""What befalls the networks, to the database and to the clients, and clients that do not read."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

from tests.faults import packets
from tests.faults.catalogue import fault
from tests.faults.network import Network, Weather
from tests.faults.stage import Stage
from tests.faults.writers import USERS
from tests.services import Address

SLOW = Weather(delay_s=0.05, jitter_s=0.05)
SLICED = Weather(delay_s=0.001, piece_bytes=7)


@contextmanager
def _over_all(networks: list[Network], weather: Weather, name: str = "") -> Iterator[None]:
    with ExitStack() as stack:
        for one in networks:
            stack.enter_context(one.weather(weather, name))
        yield


async def _lossy(networks: list[Network], stage: Stage) -> None:
    """What TCP makes of lost packets: stretches in which nothing comes, and connections that give up."""
    while True:
        one = stage.random.choice(networks)
        if stage.random.random() < 0.3:
            one.cut()
        with one.weather(Weather(stalled=True)):
            await asyncio.sleep(stage.random.uniform(0.05, 0.4))
        await asyncio.sleep(stage.random.uniform(0.05, 0.4))


@contextlib.asynccontextmanager
async def _beside(work: "asyncio.Task[None]") -> AsyncIterator[None]:
    try:
        yield
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


@fault(1, 4)
async def database_cut(stage: Stage) -> AsyncIterator[None]:
    """No service reaches the database."""
    with _over_all(stage.networks, Weather(refused=True)):
        yield


@fault(4, 8)
async def database_black_holed(stage: Stage) -> AsyncIterator[None]:
    """One service's connections to the database are all dead without a word, and then alive again."""
    with stage.random.choice(stage.networks).weather(Weather(stalled=True)):
        yield


@fault(3, 5)
async def database_slow(stage: Stage) -> AsyncIterator[None]:
    """All that is said to and by the database takes 50 to 100 ms."""
    with _over_all(stage.networks, SLOW):
        yield


@fault(3, 5)
async def database_lossy(stage: Stage) -> AsyncIterator[None]:
    """Connections to the database stall again and again, and some are cut."""
    async with _beside(asyncio.create_task(_lossy(stage.networks, stage))):
        yield


@fault(4, 6)
async def listener_dead(stage: Stage) -> AsyncIterator[None]:
    """The connection on which a service hears of events is dead without a word."""
    with stage.random.choice(stage.networks).weather(Weather(stalled=True), "orderstream follower"):
        yield


@fault(0, 1)
async def clients_cut(stage: Stage) -> AsyncIterator[None]:
    """The connections of those at home are reset, three times, and once they cannot connect."""
    for _ in range(3):
        stage.home.cut()
        await asyncio.sleep(0.3)
    with stage.home.weather(Weather(refused=True)):
        yield


@fault(4, 6, needs="" if packets.can_be_lost() else "iptables, and root's rights to it")
async def packets_lost(stage: Stage) -> AsyncIterator[None]:
    """One packet in ten is lost, whichever way it goes, between clients and the proxy, and between services and the
    database."""
    ports = [between.port for between in (*stage.networks, stage.home, stage.office)]
    with packets.lost(ports, 0.1) as count:
        yield
        if not await asyncio.to_thread(count):
            stage.complain("no packet was lost")


@fault(3, 5)
async def clients_slow(stage: Stage) -> AsyncIterator[None]:
    """At home all takes 50 to 100 ms; in the office it comes in pieces of seven bytes."""
    with stage.home.weather(SLOW), stage.office.weather(SLICED):
        yield


@fault(3, 5)
async def clients_lossy(stage: Stage) -> AsyncIterator[None]:
    """Connections of clients stall again and again, and some are cut."""
    async with _beside(asyncio.create_task(_lossy([stage.home, stage.office], stage))):
        yield


@fault(3, 5)
async def clients_black_holed(stage: Stage) -> AsyncIterator[None]:
    """The connections of those at home are dead without a word, and then alive again."""
    with stage.home.weather(Weather(stalled=True)):
        yield


@fault(1)
async def clients_half_closed(stage: Stage) -> AsyncIterator[None]:
    """Clients are told that nothing more comes, and the services are not."""
    stage.home.half_close()
    stage.office.half_close()
    yield


@fault(4, 6)
async def readers_slow(stage: Stage) -> AsyncIterator[None]:
    """Clients that read 2 KB at a time, and rest."""
    slow = stage.raw[::2]
    for client in slow:
        client.pause_s = 0.2
    yield
    for client in slow:
        client.pause_s = 0.0


@contextmanager
def never_reading(stage: Stage, count: int) -> Iterator[None]:
    """So many streams of the stage's users, of which nobody reads a byte."""
    with ExitStack() as stack:
        for number in range(count):
            user = USERS[number % len(USERS)]
            peer = socket.create_connection(("127.0.0.1", stage.random.choice(stage.services).port), timeout=5)
            stack.enter_context(peer)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = f"GET /v1/orders/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {Address.jwt(user)}\r\n\r\n"
            peer.sendall(head.encode())
        yield


@fault(5, 7)
async def readers_that_never_read(stage: Stage) -> AsyncIterator[None]:
    """Forty streams of which nobody reads a byte; the oldest of a user's make room, or are cut off."""
    with never_reading(stage, 40):
        yield
