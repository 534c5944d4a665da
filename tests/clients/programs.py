"""The clients that are told apart from a browser by their language: curl, httpx-sse, and eventsource under Node.js.

Each is an asynchronous context manager `client(service, user, record)`: inside the block it follows the user's stream
and reports to the record.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp_sse_client2.client import EventSource
from httpx_sse import aconnect_sse

from tests.clients.record import Record
from tests.services import Address

_HERE = Path(__file__).parent
_STREAM = "/v1/orders/stream"


def program(*names: str) -> str:
    """The path of the first that is installed, also beside our Python; without any the test is skipped, and in CI it
    fails."""
    for name in names:
        if path := shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent):
            return path
    return missing(" or ".join(names))


def missing(what: str) -> str:
    """Skips the test; in CI, which must run it, fails it."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed, and CI must run with it")
    pytest.skip(f"{what} is not installed")


@asynccontextmanager
async def curl(service: Address, user: str, record: Record) -> AsyncIterator[None]:
    """curl in a loop of the shell."""
    program("curl")
    async with _lines(program("bash"), "follow.sh", service, user) as lines:
        fields: dict[str, str] = {}

        def take(line: str) -> None:
            name, _, value = line.partition(": ")
            if name:
                fields[{"event": "name", "data": "body"}.get(name, name)] = value
                return
            if "name" in fields:
                record.tell(fields)
            fields.clear()

        async with _reading(lines, take):
            yield


@asynccontextmanager
async def eventsource(service: Address, user: str, record: Record) -> AsyncIterator[None]:
    """The npm package eventsource, with a fetch that carries a bearer."""
    async with _node("eventsource", "follow.js", service, user, record):
        yield


@asynccontextmanager
async def eventsource_parser(service: Address, user: str, record: Record) -> AsyncIterator[None]:
    """The npm package eventsource-parser, which only parses: one connection."""
    async with _node("eventsource-parser", "parse.js", service, user, record):
        yield


@asynccontextmanager
async def httpx_sse(service: Address, user: str, record: Record) -> AsyncIterator[None]:
    """The PyPI package httpx-sse, in the loop that it leaves to its users."""
    following = asyncio.create_task(_follow(service.url + _STREAM, service.bearer(user), record))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


@asynccontextmanager
async def aiohttp_sse_client(service: Address, user: str, record: Record) -> AsyncIterator[None]:
    """The PyPI package aiohttp-sse-client2."""

    async def follow() -> None:
        async with EventSource(service.url + _STREAM, headers=service.bearer(user)) as source:
            async for event in source:
                record.tell({"name": event.type, "id": event.last_event_id, "body": event.data})

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


async def _follow(url: str, headers: dict[str, str], record: Record) -> None:
    cursor, pause_s = "", 1.0
    async with httpx.AsyncClient(timeout=httpx.Timeout(10, read=60)) as client:
        while True:
            resume = {"Last-Event-ID": cursor} if cursor else {}
            try:
                async with aconnect_sse(client, "GET", url, headers=headers | resume) as source:
                    async for event in source.aiter_sse():
                        # A new connection knows no id before its first numbered event.
                        cursor = event.id or cursor
                        pause_s = pause_s if event.retry is None else event.retry / 1000
                        # `retry` comes alone, and httpx-sse gives it as an event without data.
                        if event.data:
                            record.tell({"name": event.event, "id": event.id, "body": event.data})
            except httpx.TransportError:
                pass
            await asyncio.sleep(pause_s)


@asynccontextmanager
async def _node(package: str, script: str, service: Address, user: str, record: Record) -> AsyncIterator[None]:
    node = program("node")
    if not (_HERE / "node_modules" / package).exists():
        missing(f"the npm package {package}")
    async with (
        _lines(node, script, service, user) as lines,
        _reading(lines, lambda line: record.tell(json.loads(line))),
    ):
        yield


@asynccontextmanager
async def _lines(interpreter: str, script: str, service: Address, user: str) -> AsyncIterator[asyncio.StreamReader]:
    """What a script of this folder prints; it and all that it started are ended with the block."""
    child = await asyncio.create_subprocess_exec(
        interpreter,
        str(_HERE / script),
        service.url + _STREAM,
        env=os.environ | {"JWT": service.jwt(user)},
        stdout=asyncio.subprocess.PIPE,
        # A connection that was refused is what these tests are about.
        stderr=asyncio.subprocess.DEVNULL,
        limit=1 << 20,
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        yield child.stdout
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        await child.wait()


@asynccontextmanager
async def _reading(lines: asyncio.StreamReader, take: Callable[[str], None]) -> AsyncIterator[None]:
    async def read() -> None:
        async for raw in lines:
            take(raw.decode().rstrip("\n"))

    reading = asyncio.create_task(read())
    try:
        yield
        assert not reading.done(), "the client ended by itself"
    finally:
        reading.cancel()
        await asyncio.wait([reading])
