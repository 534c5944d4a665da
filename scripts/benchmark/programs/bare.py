"""The floor: a server that holds connections and does nothing but write to them, when it is told to.

`GET /publish?count=N&bytes=B` writes N events of B bytes to connections drawn at random; `GET /publish?to=all&…` each
of them to all. Anything else is a stream.
"""

import asyncio
import random
import sys
from contextlib import suppress
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
# A loop that never let the sockets be written would be no loop.
_A_TURN = 64

streams: list[asyncio.Transport] = []
publishing: set[asyncio.Task[None]] = set()


async def publish(count: int, size: int, to_all: bool) -> None:
    frame = b"data: " + b"x" * (size - 8) + b"\n\n"
    for number in range(count):
        if to_all:
            for stream in streams:
                stream.write(frame)
            await asyncio.sleep(0)
        else:
            random.choice(streams).write(frame)
            if number % _A_TURN == 0:
                await asyncio.sleep(0)


class Client(asyncio.Protocol):
    __slots__ = ("transport",)

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        target = urlsplit(data.split(b" ", 2)[1].decode())
        self.transport.write(_HEAD)
        if target.path == "/publish":
            asked = parse_qs(target.query)
            self.transport.close()
            work = publish(int(asked["count"][0]), int(asked["bytes"][0]), "to" in asked)
            publishing.add(asyncio.create_task(work))
        else:
            streams.append(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        # One that published is in no list.
        with suppress(ValueError):
            streams.remove(self.transport)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
