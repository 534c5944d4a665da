"""A real reverse proxy with the faults that others have: it keeps, cuts off or changes what it should pass on."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from tests.ports import free_port

_HOP = ("Connection", "Transfer-Encoding", "Content-Length", "Host")
Change = Callable[[CIMultiDict[str]], None]


class Faults(NamedTuple):
    """`passed_bytes` of a stream are passed on and the rest kept, `silence_s` ends what says nothing for so long."""

    passed_bytes: int | None = None
    head_too: bool = False
    silence_s: float | None = None
    compresses: bool = False
    request: Change = lambda headers: None
    answer: Change = lambda headers: None


@asynccontextmanager
async def proxy(target: str, faults: Faults) -> AsyncIterator[str]:
    """Its URL, in front of the service at `target`."""
    port = free_port()
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=timeout) as upstream:

        async def forward(request: web.Request) -> web.StreamResponse:
            headers = CIMultiDict({name: value for name, value in request.headers.items() if name not in _HOP})
            faults.request(headers)
            asked = upstream.get(target + request.path_qs, headers=headers)
            try:
                async with asyncio.timeout(faults.silence_s):
                    answer = await asked
            except TimeoutError:
                return web.Response(status=504)
            async with answer:
                return await _passed_on(request, answer, faults)

        app = web.Application()
        app.router.add_get("/{path:.*}", forward)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


async def _passed_on(request: web.Request, answer: aiohttp.ClientResponse, faults: Faults) -> web.StreamResponse:
    headers = CIMultiDict({name: value for name, value in answer.headers.items() if name not in _HOP})
    faults.answer(headers)
    streams = answer.content_type == "text/event-stream"
    if not streams:
        return web.Response(status=answer.status, headers=headers, body=await answer.read())
    if faults.compresses:
        headers["Content-Encoding"] = "gzip"
    response = web.StreamResponse(status=answer.status, headers=headers)
    if faults.head_too:
        await asyncio.Event().wait()
    await response.prepare(request)
    left = faults.passed_bytes
    while True:
        try:
            async with asyncio.timeout(faults.silence_s):
                chunk = await answer.content.readany()
        except TimeoutError:
            break
        if not chunk:
            break
        passed = chunk if left is None else chunk[:left]
        left = None if left is None else left - len(passed)
        if passed:
            await response.write(gzip.compress(passed) if faults.compresses else passed)
    return response
