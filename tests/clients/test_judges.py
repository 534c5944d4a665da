"""One recorded session of a real service, read alike by parsers that others wrote; and the web platform's own cases.

The cases are those of web-platform-tests, eventsource/, that say something about what a server sends, by their names.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from typing import NamedTuple

import aiohttp
import psycopg2
import pytest
from aiohttp import web

from tests.clients import chromium, programs
from tests.clients.record import Record
from tests.faults.of_load import ONE, STRANGE
from tests.services import Address, ServiceProcess
from tests.system.clients import ENDLESS

pytestmark = pytest.mark.system

USER = "ann"
# So that no line end, name or character comes in one piece.
SLICE_BYTES = 7
# The longest line that aiohttp-sse-client2 reads.
MAX_CHARS = 20_000

Judge = Callable[[Address, str, Record], AbstractAsyncContextManager[None]]
JUDGES: dict[str, Judge] = {
    "chromium": chromium.same_origin,
    "npm-eventsource": programs.eventsource,
    "npm-eventsource-parser": programs.eventsource_parser,
    "pypi-httpx-sse": programs.httpx_sse,
    "pypi-aiohttp-sse-client2": programs.aiohttp_sse_client,
}


class Session(NamedTuple):
    """The head and the bytes of a stream."""

    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[str]:
        return self.body.decode().split("\n")


@pytest.fixture
async def session(database: str) -> Session:
    """From the snapshot over events with all that a text can hold to the goaway of a drain."""
    body = bytearray()
    async with ServiceProcess(database, heartbeat_s=0.2) as service, aiohttp.ClientSession() as http:
        await service.ready()
        url, headers = f"{service.url}/v1/orders/stream", service.bearer(USER)
        async with http.get(url, headers=headers, timeout=ENDLESS) as response:
            while b"event: heartbeat" not in body:
                body += await response.content.readany()
            with closing(psycopg2.connect(database)) as writer, writer.cursor() as cursor:
                for quantity, filled, status, reason in STRANGE:
                    row = (USER, "S", "stock", "buy", "market", "web", quantity, filled, status, reason[:MAX_CHARS])
                    cursor.execute(ONE, row)
                writer.commit()
            while body.count(b"event: order\n") < len(STRANGE):
                body += await response.content.readany()
            service.stop()
            while chunk := await response.content.readany():
                body += chunk
            return Session(dict(response.headers), bytes(body))


@asynccontextmanager
async def replayed(session: Session) -> AsyncIterator[Address]:
    """A server that says it again, in slices, to whoever comes first; the others are not to come back."""
    address, said = Address(), False

    async def stream(request: web.Request) -> web.StreamResponse:
        nonlocal said
        if said:
            return web.Response(status=204)
        said = True
        response = web.StreamResponse(headers={"Content-Type": session.headers["Content-Type"]})
        await response.prepare(request)
        for start in range(0, len(session.body), SLICE_BYTES):
            await response.write(session.body[start : start + SLICE_BYTES])
            if start % 700 == 0:
                await asyncio.sleep(0)
        return response

    app = web.Application()
    app.router.add_get("/v1/orders/stream", stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", address.port).start()
        yield address
    finally:
        await runner.cleanup()


def by_the_letter(session: Session) -> list[tuple[str, str, str]]:
    """What it says: name, own id, data."""
    blocks = [
        dict(line.split(": ", 1) for line in block.split("\n") if line) for block in session.body.decode().split("\n\n")
    ]
    return [(fields["event"], fields.get("id", ""), fields["data"]) for fields in blocks if "data" in fields]


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
async def test_recorded_session_is_read_as_it_was_written(judge: Judge, session: Session) -> None:
    """Every event, its name, its id and its data, character by character. What an event without an id says of the one
    in force differs: npm's eventsource says nothing."""
    record, expected = Record(), by_the_letter(session)
    assert [name for name, _, _ in expected].count("order") == len(STRANGE)
    async with replayed(session) as address, judge(address, USER, record):
        await record.has("goaway")
    heard = [seen for seen in record.seen if seen.body]
    assert [(seen.name, seen.body) for seen in heard] == [(name, body) for name, _, body in expected]
    own = [(seen.id, id_) for seen, (_, id_, _) in zip(heard, expected, strict=True) if id_]
    assert own == [(id_, id_) for _, id_ in own]


def values(session: Session, field: str) -> list[str]:
    return [line.partition(": ")[2] for line in session.lines if line.startswith(f"{field}: ")]


def fields(session: Session) -> set[str]:
    return {line.partition(":")[0] for line in session.lines if line}


# format-mime-*: a server may say neither less nor another type.
MIME = "text/event-stream"
WPT: dict[str, Callable[[Session], bool]] = {
    "format-bom": lambda session: not session.body.startswith(b"\xef\xbb\xbf"),
    "format-bom-2": lambda session: not any(line.startswith("\ufeff") for line in session.lines),
    "format-comments": lambda session: all(line.partition(":")[0] for line in session.lines if line),
    "format-data-before-final-empty-line": lambda session: session.body.endswith(b"\n\n"),
    "format-field-data": lambda session: all(json.loads(one) is not None for one in values(session, "data")),
    "format-field-event": lambda session: all(re.fullmatch("[a-z-]+", one) for one in values(session, "event")),
    "format-field-event-empty": lambda session: all(values(session, "event")),
    "format-field-id": lambda session: len(values(session, "id")) == len(set(values(session, "id"))),
    "format-field-id-2": lambda session: all(re.fullmatch(r"[0-9a-f]{8}\.\d+", one) for one in values(session, "id")),
    "format-field-id-3": lambda session: all(values(session, "id")),
    "format-field-id-null": lambda session: all("\0" not in one for one in values(session, "id")),
    "format-field-parsing": lambda session: all(
        re.match(r"(event|data|id|retry): [^ ]", line) for line in session.lines if line
    ),
    "format-field-retry": lambda session: all(100 <= int(one) < 3_600_000 for one in values(session, "retry")),
    "format-field-retry-bogus": lambda session: all(one.isdecimal() for one in values(session, "retry")),
    "format-field-retry-empty": lambda session: bool(values(session, "retry")),
    "format-field-unknown": lambda session: fields(session) == {"event", "data", "id", "retry"},
    "format-leading-space": lambda session: not any(one.startswith(" ") for one in values(session, "data")),
    "format-mime-bogus": lambda session: session.headers["Content-Type"].startswith(MIME),
    "format-mime-trailing-semicolon": lambda session: not session.headers["Content-Type"].endswith(";"),
    "format-mime-valid-bogus": lambda session: session.headers["Content-Type"] == MIME,
    "format-newlines": lambda session: b"\r" not in session.body,
    "format-null-character": lambda session: b"\0" not in session.body,
    "format-utf-8": lambda session: session.body.decode("utf-8").encode() == session.body,
}


async def test_stream_is_what_the_web_platform_tests_want_of_a_server(session: Session) -> None:
    """Nothing in it is of the kind that parsers must be forgiven, or must forgive."""
    assert [name for name, holds in WPT.items() if not holds(session)] == []


ORIGIN = "https://app.example.com"


class Asked(NamedTuple):
    """How a stream was asked for, and by a page of which origin."""

    headers: dict[str, str]
    method: str = "GET"
    expires_s: float = 3600.0


class Told(NamedTuple):
    """The answer's status and head, and of its body what came first."""

    status: int
    headers: Mapping[str, str]
    first: bytes


# As EventSource asks, with what these cases look at.
WPT_REQUESTS: dict[str, tuple[Asked, Callable[[Told], bool]]] = {
    "request-accept": (Asked({"Accept": MIME}), lambda told: told.headers["Content-Type"] == MIME),
    "request-cache-control": (
        Asked({"Cache-Control": "no-store"}),
        lambda told: "no-store" in told.headers["Cache-Control"],
    ),
    "request-credentials": (
        Asked({"Origin": ORIGIN}),
        lambda told: told.headers["Access-Control-Allow-Credentials"] == "true",
    ),
    "request-redirect": (Asked({}), lambda told: told.status == 200 and "Location" not in told.headers),
    # Any other status would be the end of it: EventSource does not come back.
    "request-status-error": (
        Asked({}, expires_s=-3600.0),
        lambda told: told.status == 200 and b"event: goaway" in told.first,
    ),
    "request-post-to-connect": (Asked({}, method="POST"), lambda told: told.status == 405),
    "eventsource-cross-origin": (
        Asked({"Origin": ORIGIN}),
        lambda told: told.headers["Access-Control-Allow-Origin"] == ORIGIN,
    ),
    # A long Last-Event-ID is none of the safelisted headers.
    "eventsource-cross-origin-preflight": (
        Asked(
            {
                "Origin": ORIGIN,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "last-event-id",
            },
            method="OPTIONS",
        ),
        lambda told: "last-event-id" in told.headers["Access-Control-Allow-Headers"].lower(),
    ),
    "eventsource-reconnect": (
        Asked({"Last-Event-ID": "00000000.1"}),
        lambda told: told.status == 200 and b"retry: " in told.first,
    ),
}


async def test_request_is_answered_as_the_web_platform_tests_want_of_a_server(database: str) -> None:
    """Each case's request, with the credential that a browser sends by itself."""
    told: dict[str, Told] = {}
    async with ServiceProcess(database, cors_origins=ORIGIN) as service, aiohttp.ClientSession() as http:
        await service.ready()
        for name, (asked, _) in WPT_REQUESTS.items():
            headers = asked.headers | {"Cookie": f"orderstream_jwt={service.jwt(USER, asked.expires_s)}"}
            url = f"{service.url}/v1/orders/stream"
            async with http.request(
                asked.method, url, headers=headers, timeout=ENDLESS, allow_redirects=False
            ) as response:
                first = await response.content.readany()
                while response.status == 200 and asked.method == "GET" and b"event: " not in first:
                    first += await response.content.readany()
                told[name] = Told(response.status, response.headers, first)
    assert [name for name, (_, holds) in WPT_REQUESTS.items() if not holds(told[name])] == []
