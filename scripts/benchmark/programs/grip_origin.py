"""What stands behind Pushpin: says of each stream whose it is, and leaves it to Pushpin from then on (GRIP)."""

import asyncio
import sys

import uvloop

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 13\r\n"
    b"Grip-Hold: stream\r\nGrip-Channel: %b\r\nGrip-Keep-Alive: :\\n\\n; format=cstring; timeout=15\r\n\r\n"
    b"retry: 2000\n\n"
)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await _head(reader):
        user = head.partition(b"/stream/")[2].partition(b" ")[0]
        writer.write(_ANSWER % user)
    writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Of the next request, without a body; empty where there is none."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def main() -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]), backlog=4096) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
