"""A network between two programs, with the faults that networks have: it delays, stalls, cuts, half closes, slices and
resets, all that it carries or only the sessions of one application_name."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

_CHUNK_BYTES = 65_536
# Where Postgres's clients give their name.
_SAID_BYTES = 2000
# So a closed socket says RST and not FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


class Weather(NamedTuple):
    """What becomes of the bytes; the default is fair."""

    delay_s: float = 0.0  # every piece waits so long
    jitter_s: float = 0.0  # and up to so long more, by chance
    piece_bytes: int = _CHUNK_BYTES  # passed on in pieces of at most so many
    stalled: bool = False  # nothing passes and nothing ends: what was said waits, as in a network that lost its way
    refused: bool = False  # connections are reset, those that are there and new ones


_FAIR = Weather()


class Network:
    """Listens on `port` of 127.0.0.1 and carries to `to_port`, which may change: for connections from then on."""

    def __init__(self, to_port: int, seed: int = 0) -> None:
        self.port = 0
        self.to_port = to_port
        self.random = random.Random(f"{seed} network")
        self._weathers: list[tuple[Weather, bytes]] = []
        self._links: dict[_Link, asyncio.Task[Any]] = {}
        self._changed = asyncio.Condition()

    @contextmanager
    def weather(self, weather: Weather, name: str = "") -> Iterator[None]:
        """So long, for those that are there and those that come; of several the latest that applies."""
        entry = weather, name.encode()
        self._weathers.append(entry)
        self._look()
        try:
            yield
        finally:
            self._weathers.remove(entry)
            self._look()

    def cut(self, name: str = "") -> int:
        """Resets what is open, and says how many that were."""
        links = [link for link in self._links if link.is_named(name.encode())]
        for link in links:
            link.reset()
        return len(links)

    def carries(self, server_side_port: int) -> bool:
        """Whether the server sees one of its connections come from that port."""
        return any(link.server_side_port == server_side_port for link in self._links)

    def half_close(self) -> None:
        """The clients are told that nothing more will come; the servers are told nothing."""
        for link in list(self._links):
            link.half_close()

    def weather_of(self, link: "_Link") -> Weather:
        return next((weather for weather, name in reversed(self._weathers) if link.is_named(name)), _FAIR)

    async def passable(self, link: "_Link") -> Weather:
        """The weather, once it lets something pass."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.weather_of(link).stalled)
        return self.weather_of(link)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection of a client's."""
        link = _Link(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._links[link] = task
        try:
            await link.carry()
        except (OSError, asyncio.CancelledError):
            link.reset()
        finally:
            del self._links[link]
            link.close()

    async def end(self) -> None:
        """Resets what is open."""
        tasks = list(self._links.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look(self) -> None:
        for link in list(self._links):
            if self.weather_of(link).refused:
                link.reset()
        self._changing = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class _Link:
    """One connection through a network, of two."""

    def __init__(self, network: Network, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._network = network
        self._reader, self._client = reader, writer
        self._server: asyncio.StreamWriter | None = None
        self._said = b""
        self._half_closed = False

    def is_named(self, name: bytes) -> bool:
        return name in self._said

    @property
    def server_side_port(self) -> int | None:
        return None if self._server is None else int(self._server.get_extra_info("sockname")[1])

    def reset(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None and not writer.transport.is_closing():
                peer: socket.socket = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                writer.transport.abort()

    def close(self) -> None:
        for writer in (self._client, self._server):
            if writer is not None:
                writer.close()

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self._client.write_eof()
            self._half_closed = True

    async def carry(self) -> None:
        """Until both sides have ended. Raises OSError."""
        if self._network.weather_of(self).refused:
            raise ConnectionRefusedError
        await self._network.passable(self)
        answers, self._server = await asyncio.open_connection("127.0.0.1", self._network.to_port)
        both = [
            asyncio.create_task(self._pass(self._reader, self._server)),
            asyncio.create_task(self._pass(answers, self._client)),
        ]
        try:
            # One that ends has said so to the other; each is carried to its end, or the first failure ends both.
            await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(_CHUNK_BYTES):
            if sink is not self._client and len(self._said) < _SAID_BYTES:
                self._said += chunk[:_SAID_BYTES]
            while chunk:
                chunk = await self._pass_piece(chunk, sink)
        if not sink.is_closing():
            sink.write_eof()

    async def _pass_piece(self, chunk: bytes, sink: asyncio.StreamWriter) -> bytes:
        """What is left of it. The weather may change between two pieces."""
        weather = await self._network.passable(self)
        if weather.refused:
            raise ConnectionResetError
        if weather.delay_s or weather.jitter_s:
            await asyncio.sleep(weather.delay_s + self._network.random.uniform(0, weather.jitter_s))
        if not (self._half_closed and sink is self._client):
            sink.write(chunk[: weather.piece_bytes])
            await sink.drain()
        return chunk[weather.piece_bytes :]


@asynccontextmanager
async def network(to_port: int, seed: int = 0) -> AsyncIterator[Network]:
    """Carries meanwhile; what is open at the end is reset."""
    between = Network(to_port, seed)
    async with await asyncio.start_server(between.take, "127.0.0.1", 0) as listener:
        between.port = listener.sockets[0].getsockname()[1]
        try:
            yield between
        finally:
            listener.close()
            await between.end()
