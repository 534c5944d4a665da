"""A server that speaks the protocol from a script, over real sockets on loopback.

Streams and polls are answered in the order of the script; when it is used up, requests are held without an answer.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
EPOCH = "0a1b2c3d"


def at(seq: int) -> str:
    return f"{EPOCH}.{seq}"


def frame(name: str, payload: Any, id: str | None = None) -> str:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return (f"id: {id}\n" if id else "") + f"event: {name}\ndata: {text}\n\n"


def row(id: str, status: str = "submitted", version: int = 1, **fields: Any) -> dict[str, Any]:
    return {"id": id, "status": status, "version": version, **fields}


def order(seq: int, id: str, status: str = "filled", version: int = 2) -> str:
    return frame("order", {"order": row(id, status, version), "exec_type": "trade"}, at(seq))


def snapshot(seq: int, *rows: dict[str, Any]) -> str:
    return frame("snapshot", {"orders": rows}) + frame("snapshot-end", end(seq, len(rows)), at(seq))


def end(seq: int, orders: int) -> dict[str, Any]:
    return {"cursor": at(seq), "orders": orders}


def live(seq: int) -> str:
    return frame("live", {"head": at(seq)})


def heartbeat(seq: int) -> str:
    return frame("heartbeat", {"head": at(seq), "at": "2026-01-01T00:00:00.000000Z"})


def goaway(reason: str, reconnect: bool = True, after_ms: int = 0) -> str:
    return frame("goaway", {"reason": reason, "reconnect": reconnect, "after_ms": after_ms})


def stream(*texts: str, hold: bool = True) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for text in texts:
            await response.write(text.encode())
        return await held(request) if hold else response

    return answer


def body(payload: Any) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(payload)

    return answer


def status(code: int, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return answer


async def held(request: web.Request) -> web.StreamResponse:
    """Until the client goes or the server stops."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


class Script:
    def __init__(self) -> None:
        self.url = ""
        self.streams: list[Answer] = []
        self.polls: list[Answer] = []
        # The headers of every request, oldest first.
        self.stream_requests: list[dict[str, str]] = []
        self.poll_requests: list[dict[str, str]] = []
        # Answered alike, all of them.
        self.ack: Answer = status(204)
        self.ack_requests: list[dict[str, str]] = []
        self.acks: list[Any] = []

    async def stream(self, request: web.Request) -> web.StreamResponse:
        self.stream_requests.append(dict(request.headers))
        return await (self.streams.pop(0) if self.streams else held)(request)

    async def poll(self, request: web.Request) -> web.StreamResponse:
        self.poll_requests.append(dict(request.headers))
        return await (self.polls.pop(0) if self.polls else held)(request)

    async def acknowledge(self, request: web.Request) -> web.StreamResponse:
        self.ack_requests.append(dict(request.headers))
        self.acks.append(await request.json())
        return await self.ack(request)


@asynccontextmanager
async def running(script: Script) -> AsyncIterator[Script]:
    app = web.Application()
    app.router.add_get("/v1/orders/stream", script.stream)
    app.router.add_get("/v1/orders/poll", script.poll)
    app.router.add_post("/v1/acks", script.acknowledge)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield script
    finally:
        await runner.cleanup()
