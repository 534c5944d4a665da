"""A proxy of our own between a browser and a service, with the faults of those that stand in the way of streams.

Each request has a connection of its own (`Connection: close` both ways), so an answer ends where its connection does.
"""

import asyncio
import enum
import re
from collections.abc import Coroutine
from typing import Any, Self

_STREAM = b"/v1/orders/stream"
_HEAD_BYTES = 65_536
# nginx passes on what fills a buffer of its own, one page of memory by default, and the rest when the answer ends.
_BUFFER_BYTES = 4096
_REFUSED = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Way(enum.Enum):
    """What becomes of a stream that is asked for from now on."""

    FREE = enum.auto()
    REFUSED = enum.auto()
    BUFFERED = enum.auto()


class Proxy:
    """Listens on a port of its own, the same after a cut; as a context manager it runs inside the block."""

    def __init__(self, upstream_port: int) -> None:
        self.stream = Way.FREE
        self._upstream_port = upstream_port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[Any], _Connection] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Resets what is open, and takes nothing new."""
        if self._server is not None:
            self._server.close()
        self._server = None
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def mend(self) -> None:
        """Takes connections, again."""
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self._port, limit=_HEAD_BYTES)
        self._port = self._server.sockets[0].getsockname()[1]

    def strand(self) -> None:
        """What is open stays open and says nothing any more, as where a machine slept through the end of it."""
        for connection in self._connections.values():
            connection.is_stranded = True

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = _Connection(reader, writer)
        try:
            await connection.serve(self)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # One side went, or we were told to: for the other one that is a connection that breaks.
            connection.reset()
        finally:
            del self._connections[task]

    async def open_upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._upstream_port)


class _Connection:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.is_stranded = False
        self._reader = reader
        self._writers = [writer]

    def reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, proxy: Proxy) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        way = proxy.stream if head.split(b" ", 2)[1].startswith(_STREAM) else Way.FREE
        client = self._writers[0]
        if way is Way.REFUSED:
            client.write(_REFUSED)
        else:
            upstream_reader, upstream = await proxy.open_upstream()
            self._writers.append(upstream)
            upstream.write(re.sub(rb"\r\nConnection:[^\r]*", b"", head, flags=re.I)[:-2] + b"Connection: close\r\n\r\n")
            least_bytes = _BUFFER_BYTES if way is Way.BUFFERED else 1
            await _first(
                self._carry(self._reader, upstream, least_bytes=1),
                self._carry(upstream_reader, client, least_bytes=least_bytes),
            )
            upstream.close()
        await client.drain()
        client.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, least_bytes: int) -> None:
        kept = b""
        while chunk := await reader.read(65_536):
            if self.is_stranded:
                continue
            kept += chunk
            if len(kept) >= least_bytes:
                writer.write(kept)
                await writer.drain()
                kept = b""
        if self.is_stranded:
            await asyncio.Event().wait()
        writer.write(kept)


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Returns when one is done, and the others are cancelled; raises what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
