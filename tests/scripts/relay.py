"""A relay between clients and a service that loses an event of each stream, as a broken proxy might."""

import asyncio
import re
from contextlib import suppress
from typing import Self

_ORDER = re.compile(rb"^id: [^\n]+\nevent: order\n")


class Relay:
    """Listens on a port of its own. Of each stream, the order event of that number (1, 2, 3 …) never arrives.

    `and_after` loses all that comes after it, too.
    """

    def __init__(self, upstream_port: int, lost: int, *, and_after: bool = False) -> None:
        self._upstream_port = upstream_port
        self._lost = lost
        self._and_after = and_after
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for task in self._open if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(asyncio.current_task())
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        head = await reader.readuntil(b"\r\n\r\n")
        to_upstream.write(head)
        answer = self._stream(upstream, writer) if b"/v1/orders/stream" in head else _carry(upstream, writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await asyncio.gather(answer, _carry(reader, to_upstream))
        finally:
            to_upstream.close()
            writer.close()
            self._open.discard(asyncio.current_task())

    async def _stream(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await upstream.readuntil(b"\r\n\r\n"))
        orders = 0
        while True:
            frame = await upstream.readuntil(b"\n\n")
            orders += _ORDER.match(frame) is not None
            is_lost = orders >= self._lost if self._and_after else orders == self._lost and _ORDER.match(frame)
            if not is_lost:
                writer.write(frame)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
    writer.close()
