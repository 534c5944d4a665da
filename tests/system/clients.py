"""Clients of the wire for tests: they parse it by themselves, and share nothing with the product's own client."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from tests.services import Address
from tests.waiting import PATIENCE_S, eventually

# A stream has no end of its own.
ENDLESS = aiohttp.ClientTimeout(total=None, sock_connect=5)


class Frame(NamedTuple):
    """One block of an event stream; a `retry` alone is an event of that name."""

    event: str
    data: Any
    id: str | None


def parse(block: bytes, loads: Callable[[str], Any] = json.loads) -> Frame:
    """Of the lines between two blank ones; `loads` reads the JSON."""
    fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
    if "event" not in fields:
        return Frame("retry", int(fields["retry"]), None)
    return Frame(fields["event"], loads(fields["data"]), fields.get("id"))


class Stream:
    """An open stream, read block by block."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Frame | None:
        """The next one, waited for; None where the stream ended. What came half is not given."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                block = await self.response.content.readuntil(b"\n\n")
        except (aiohttp.ClientPayloadError, ConnectionError):
            return None
        return parse(block[:-2]) if block.endswith(b"\n\n") else None

    async def until(self, *events: str) -> list[Frame]:
        """Everything up to and with the first of these events; fails where the stream ends before."""
        got: list[Frame] = []
        # Heartbeats alone would keep it waiting for ever.
        async with asyncio.timeout(PATIENCE_S):
            while not got or got[-1].event not in events:
                frame = await self.next()
                assert frame is not None, f"the stream ended before {events}: {got}"
                got.append(frame)
        return got

    async def rest(self) -> list[Frame]:
        """Everything up to the end of the stream."""
        got: list[Frame] = []
        while (frame := await self.next()) is not None:
            got.append(frame)
        return got


@asynccontextmanager
async def open_stream(
    session: aiohttp.ClientSession, at: Address, user: str, *, header: str | None = None, query: str | None = None
) -> AsyncIterator[Stream]:
    """A stream of `user`, resumed by Last-Event-ID (`header`) or by `?cursor=` (`query`)."""
    headers = at.bearer(user) | ({"Last-Event-ID": header} if header is not None else {})
    parameters = {"cursor": query} if query is not None else {}
    url = f"{at.url}/v1/orders/stream"
    async with session.get(url, headers=headers, params=parameters, timeout=ENDLESS) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


class Answer(NamedTuple):
    """What a request got; `body` is parsed JSON, None where there is none."""

    status: int
    headers: Any
    body: Any

    @property
    def cursor(self) -> str:
        """The one in the ETag."""
        return str(self.headers["ETag"]).removeprefix('W/"').removesuffix('"')


async def get(session: aiohttp.ClientSession, at: Address, user: str, path: str, **headers: str) -> Answer:
    """`GET path` of `user`."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with session.get(at.url + path, headers=at.bearer(user) | headers, timeout=timeout) as response:
        text = await response.text()
        return Answer(response.status, response.headers, json.loads(text) if text else None)


async def poll(
    session: aiohttp.ClientSession, at: Address, user: str, cursor: str | None = None, wait_s: int = 0
) -> Answer:
    """A long-poll after `cursor`, held for `wait_s`."""
    tag = {"If-None-Match": f'W/"{cursor}"'} if cursor is not None else {}
    return await get(session, at, user, "/v1/orders/poll", Prefer=f"wait={wait_s}", **tag)


async def ready(session: aiohttp.ClientSession, at: Address) -> bool:
    """What `/health/ready` says."""
    async with session.get(f"{at.admin_url}/health/ready") as response:
        return response.status == 200


async def until_ready(session: aiohttp.ClientSession, at: Address, wanted: bool) -> None:
    """Asks until the answer is the one wanted."""

    async def answered() -> bool:
        return await ready(session, at) is wanted

    await eventually(answered)


async def next_orders(stream: Stream, count: int) -> list[str | None]:
    """The cursors of the next orders, past heartbeats."""
    return [(await stream.until("order"))[-1].id for _ in range(count)]


async def expect_unavailable(session: aiohttp.ClientSession, at: Address) -> None:
    """What a client that we know nothing of is told."""
    for path in ("/v1/orders", "/v1/orders/poll"):
        answer = await get(session, at, "ben", path)
        assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.body["type"] == "urn:orderstream:problem:database-unavailable"
    # EventSource would give up for ever on a 503.
    async with open_stream(session, at, "ben") as stream:
        frames = await stream.rest()
    assert [frame.event for frame in frames] == ["retry", "retry", "goaway"]
    assert frames[-1].data.items() >= {"reason": "overload", "reconnect": True}.items()
