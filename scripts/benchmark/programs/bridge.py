"""From Postgres to a server that is published to by HTTP: one LISTEN, and POSTs over connections that stay open.

A user's events keep their order: the user says which connection they go over.
"""

import asyncio
import sys
import zlib

import asyncpg
import uvloop

from scripts.benchmark.orders import NOTIFY_CHANNEL

_CONNECTIONS = 8
# Requests on one connection that are not answered yet (RFC 9112, 9.3.2: pipelining).
_AHEAD = 32


async def post(port: int, queue: asyncio.Queue[tuple[str, bytes]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ahead = asyncio.Semaphore(_AHEAD)

    async def answers() -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if int(head[9:12]) >= 300:
                raise SystemExit(f"publishing was refused: {head.splitlines()[0]!r}")
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            ahead.release()

    async with asyncio.TaskGroup() as group:
        group.create_task(answers())
        while True:
            user, event = await queue.get()
            await ahead.acquire()
            writer.write(
                b"POST /publish/%b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (user.encode(), len(event), event)
            )


async def main() -> None:
    queues: list[asyncio.Queue[tuple[str, bytes]]] = [asyncio.Queue() for _ in range(_CONNECTIONS)]

    def heard(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        user, _, event = payload.partition("\n")
        queues[zlib.crc32(user.encode()) % _CONNECTIONS].put_nowait((user, event.encode()))

    connection = await asyncpg.connect(sys.argv[2])
    await connection.add_listener(NOTIFY_CHANNEL, heard)
    print("listening", flush=True)
    async with asyncio.TaskGroup() as group:
        for queue in queues:
            group.create_task(post(int(sys.argv[1]), queue))


if __name__ == "__main__":
    uvloop.run(main())
