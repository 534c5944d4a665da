"""aiohttp-sse as its README shows it: a handler that sends in a loop, here what comes out of a queue of its own, fed by
one LISTEN through aiopg. On uvloop and with a long queue of connections, which the README does not ask for."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator

import aiopg
import uvloop
from aiohttp import web
from aiohttp_sse import sse_response

from scripts.benchmark.orders import NOTIFY_CHANNEL

queues: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def stream(request: web.Request) -> web.StreamResponse:
    queue: asyncio.Queue[str] = asyncio.Queue()
    mine = queues[request.match_info["user"]]
    mine.add(queue)
    try:
        async with sse_response(request) as response:
            while response.is_connected():
                await response.send(await queue.get())
        return response
    finally:
        mine.discard(queue)


async def listen(dsn: str) -> None:
    async with aiopg.connect(dsn) as connection, connection.cursor() as cursor:
        await cursor.execute(f"LISTEN {NOTIFY_CHANNEL}")
        while True:
            notification = await connection.notifies.get()
            user, _, event = notification.payload.partition("\n")
            for queue in queues.get(user, ()):
                queue.put_nowait(event)


async def listening(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(listen(sys.argv[2]))
    yield
    task.cancel()


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/stream/{user}", stream)
    app.cleanup_ctx.append(listening)
    uvloop.install()
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, shutdown_timeout=1, backlog=4096
    )
