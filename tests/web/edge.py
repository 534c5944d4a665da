"""The web tier on a loopback port over a store in memory, and bytes sent to it as they are."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.errors import DatabaseUnavailable
from orderstream.hub import Hub, HubLimits
from orderstream.metrics import PrometheusMeter
from orderstream.web import jwt
from orderstream.web.app import make_app
from orderstream.web.connection import Connections, ConnectionSettings
from orderstream.web.identity import Authenticator, AuthenticatorSettings
from orderstream.web.jwt import JwtSettings, Verifier
from orderstream.web.keys import key_of_secret
from orderstream.web.limits import Limits, LimitSettings
from orderstream.web.seats import HUB, PollSettings, StreamSettings
from orderstream.web.server import Server
from orderstream.web.ticket_desk import TicketDesk
from tests.ports import free_port
from tests.services import SECRET
from tests.waiting import PATIENCE_S, eventually
from tests.web.memory import MemoryStore
from tests.web.memory_sessions import MemorySessions

ORIGIN = "https://app.example"


class Answer:
    """A response as it was on the wire; header names in lower case, the last of a name counting."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def problem(self) -> Any:
        """The body, which must be a problem whose status is the real one."""
        assert self.headers["content-type"] == "application/problem+json"
        document = json.loads(self.body)
        assert document["status"] == self.status
        return document

    @property
    def kind(self) -> str:
        return str(self.problem["type"]).removeprefix("urn:orderstream:problem:")


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, raw: bytes) -> None:
        self._writer.write(raw)

    async def until(self, end: bytes) -> bytes:
        """What comes, up to those bytes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readuntil(end)

    async def exactly(self, size_bytes: int) -> bytes:
        """What comes next, so many bytes of it."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readexactly(size_bytes)

    async def rest(self) -> bytes:
        """What comes until the other side closes; a reset is an end too."""
        chunks = []
        try:
            async with asyncio.timeout(PATIENCE_S):
                while chunk := await self._reader.read(65_536):
                    chunks.append(chunk)
        except ConnectionResetError:
            pass
        return b"".join(chunks)

    async def close(self) -> None:
        """May be called more than once."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class NoTickets:
    """The Tickets of a site whose database is down."""

    async def keep(self, digest: bytes, identity: Identity, expires_in_s: float) -> None:
        raise DatabaseUnavailable("there is none")

    async def spend(self, digest: bytes) -> Identity | None:
        raise DatabaseUnavailable("there is none")


class Edge:
    """What listens, and ways to ask it."""

    def __init__(self, app: web.Application, store: MemoryStore, port: int, connections: Connections) -> None:
        self.app = app
        self.connections = connections
        self.store = store
        self.hub = app[HUB]
        self.port = port
        self.now = 0.0
        self._lines: list[Line] = []

    async def line(self) -> Line:
        """A connection, closed with the edge if not before."""
        self._lines.append(Line(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self._lines[-1]

    async def close(self) -> None:
        for line in self._lines:
            await line.close()

    async def head_began(self) -> None:
        """Returns once a head has begun to arrive behind another request, and its time runs."""
        await eventually(lambda: any(getattr(one, "_head_deadline", None) for one in self.connections._open))

    async def raw(self, raw: bytes) -> Answer:
        """Sends bytes and reads until the connection is closed from there."""
        line = await self.line()
        line.send(raw)
        answer = Answer(await line.rest())
        await line.close()
        return answer

    async def ask(self, path: str, user: str | None = "u1", method: str = "GET", **headers: str) -> Answer:
        return await self.raw(request(path, user, method, Connection="close", **headers))

    async def stream(self, user: str = "u1", **headers: str) -> Line:
        """A stream that is live."""
        line = await self.line()
        line.send(request("/v1/orders/stream", user, **headers))
        await line.until(b"event: live\n")
        return line


def request(path: str, user: str | None = "u1", method: str = "GET", **headers: str) -> bytes:
    """A request's head; an underscore in the name of a header is a hyphen."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if user is not None:
        lines.append(f"Authorization: Bearer {jwt.issue(SECRET, user, 3600)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@asynccontextmanager
async def edge(
    *,
    limits: LimitSettings | None = None,
    connections: ConnectionSettings | None = None,
    polls: PollSettings | None = None,
    more: Callable[[web.Application], None] = lambda app: None,
) -> AsyncIterator[Edge]:
    """Serves on a free port; `more` may add routes. The limits' clock is `Edge.now`, which only the test moves."""
    store = MemoryStore()
    hub = Hub(store, PrometheusMeter(), HubLimits())
    hub.renew(store.epoch)
    store.publishers.append(hub)
    port = free_port()
    logins = MemorySessions()
    served: Edge
    app = make_app(
        hub=hub,
        order_reader=store,
        meter=PrometheusMeter(),
        authenticator=Authenticator(
            Verifier([key_of_secret(SECRET)], None, JwtSettings()),
            TicketDesk(NoTickets()),
            AuthenticatorSettings(cors_origins=[ORIGIN]),
        ),
        open_sessions=logins.sessions,
        session_store=logins,
        stream_settings=StreamSettings(send_timeout_s=(connections or ConnectionSettings()).send_timeout_s),
        poll_settings=polls or PollSettings(),
        limits=Limits(limits or LimitSettings(), clock=lambda: served.now),
        cors_origins=frozenset({ORIGIN}),
    )
    more(app)
    server = Server(app, drain_timeout_s=0.1, settings=connections)
    served = Edge(app, store, port, server.connections)
    await server.start("127.0.0.1", port, key="listen")
    try:
        yield served
    finally:
        await served.close()
        await server.refuse()
        for subscriber in hub.subscribers():
            subscriber.outlet.goaway("drain", reconnect=True, after_ms=0)
        await server.stop()
        await hub.close()
