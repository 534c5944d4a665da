"""sse-starlette on uvicorn, as their documentation has it (examples/02_broadcasting.py): a queue for each client, fed
by one LISTEN through asyncpg."""

import asyncio
import contextlib
import sys
from collections import defaultdict
from collections.abc import AsyncIterator

import asyncpg
import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from scripts.benchmark.orders import NOTIFY_CHANNEL

queues: dict[str, set[asyncio.Queue[str]]] = defaultdict(set)


async def events(user: str) -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues[user].add(queue)
    try:
        while True:
            yield ServerSentEvent(data=await queue.get())
    finally:
        queues[user].discard(queue)


async def stream(request: Request) -> EventSourceResponse:
    return EventSourceResponse(events(request.path_params["user"]))


def heard(_connection: object, _pid: int, _channel: str, payload: str) -> None:
    user, _, event = payload.partition("\n")
    for queue in queues.get(user, ()):
        queue.put_nowait(event)


@contextlib.asynccontextmanager
async def listening(_app: Starlette) -> AsyncIterator[None]:
    connection = await asyncpg.connect(sys.argv[2])
    await connection.add_listener(NOTIFY_CHANNEL, heard)
    yield
    await connection.close()


if __name__ == "__main__":
    app = Starlette(routes=[Route("/stream/{user}", stream)], lifespan=listening)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
