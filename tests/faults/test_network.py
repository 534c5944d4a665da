"""The network of the fault runner: each of its faults is what it says."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from tests.faults.network import Network, Weather, network


class Pair(NamedTuple):
    """Both ends of a connection through it."""

    network: Network
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]

    async def say(self, text: bytes) -> None:
        """The server says it."""
        self.server[1].write(text)
        await self.server[1].drain()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A connection whose client has said its name."""
    arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    async with (
        await asyncio.start_server(lambda *ends: arrived.put_nowait(ends), "127.0.0.1", 0) as listener,
        network(listener.sockets[0].getsockname()[1]) as between,
    ):
        client = await asyncio.open_connection("127.0.0.1", between.port)
        client[1].write(b"ann")
        server = await arrived.get()
        assert await server[0].readexactly(3) == b"ann"
        yield Pair(between, client, server)
        client[1].close()
        server[1].close()


async def test_bytes_pass_unchanged_in_pieces(pair: Pair) -> None:
    """However small they are."""
    with pair.network.weather(Weather(piece_bytes=1)):
        await pair.say(b"0123456789" * 10)
        assert await pair.client[0].readexactly(100) == b"0123456789" * 10


async def test_stalled_connection_says_nothing_until_the_weather_is_fair(pair: Pair) -> None:
    """And what was said meanwhile comes then; a session of another name goes on."""
    with pair.network.weather(Weather(stalled=True), "ann"):
        await pair.say(b"late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pair.client[0].read(1), 0.05)
    assert await pair.client[0].readexactly(4) == b"late"
    with pair.network.weather(Weather(stalled=True), "ben"):
        await pair.say(b"soon")
        assert await pair.client[0].readexactly(4) == b"soon"


async def test_cut_connection_is_reset_at_both_ends(pair: Pair) -> None:
    """Not ended: neither side may take it for an answer that is whole."""
    assert pair.network.cut("ben") == 0
    assert pair.network.cut("ann") == 1
    for reader, _ in (pair.client, pair.server):
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_half_closed_connection_ends_for_the_client_alone(pair: Pair) -> None:
    """The server hears what the client still says."""
    pair.network.half_close()
    assert await pair.client[0].read(1) == b""
    pair.client[1].write(b"still here")
    assert await pair.server[0].readexactly(10) == b"still here"


async def test_new_connections_are_reset_while_they_are_refused(pair: Pair) -> None:
    """And those that are open."""
    with pair.network.weather(Weather(refused=True)):
        reader, writer = await asyncio.open_connection("127.0.0.1", pair.network.port)
        for one in (pair.client[0], reader):
            with pytest.raises(ConnectionResetError):
                await one.read(1)
        writer.close()
