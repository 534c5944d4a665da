"""A site: the real application over a loopback socket, with the real Hub, on orders in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse, ClientSession, CookieJar, web

from orderstream.core.delivery import Item
from orderstream.core.events import Event
from orderstream.hub import Hub, HubLimits
from orderstream.metrics import PrometheusMeter
from orderstream.postgres.store import StoreSettings
from orderstream.web import jwt
from orderstream.web.app import make_app
from orderstream.web.identity import Authenticator, AuthenticatorSettings
from orderstream.web.jwt import JwtSettings, Verifier
from orderstream.web.keys import fixed_keys
from orderstream.web.seats import WHEEL, PollSettings, StreamSettings
from orderstream.web.server import Server
from orderstream.web.ticket_desk import TicketDesk
from tests.ports import free_port
from tests.waiting import PATIENCE_S
from tests.web.memory import MemoryStore
from tests.web.memory_sessions import MemorySessions
from tests.web.memory_tickets import MemoryTickets

SECRET = "a-secret-of-the-tests-of-32-bytes-or-more"
# What is to be open before its JWT ends is so within this time.
OPENED_IN_S = 5.0
ORIGIN = "https://trade.example"
COOKIE = "session"


def bearer(user_id: str = "ann", expires_s: float = 3600) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt.issue(SECRET, user_id, expires_s)}"}


class Frame(msgspec.Struct):
    """One event of a stream: `raw` as it came, `body` its data."""

    raw: bytes
    id: str | None = None
    name: str | None = None
    retry_ms: int | None = None
    body: Any = None


def parsed(raw: bytes) -> Frame:
    frame = Frame(raw)
    for line in raw.decode().rstrip("\n").split("\n"):
        field, _, value = line.partition(": ")
        match field:
            case "id":
                frame.id = value
            case "event":
                frame.name = value
            case "retry":
                frame.retry_ms = int(value)
            case "data":
                frame.body = msgspec.json.decode(value)
    return frame


class Stream:
    """An open stream, read frame by frame from the bare socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self.head = head.decode()

    async def frame(self) -> Frame:
        async with asyncio.timeout(PATIENCE_S):
            return parsed(await self._reader.readuntil(b"\n\n"))

    async def until(self, name: str) -> list[Frame]:
        """The frames up to and with the next one of this name."""
        frames = [await self.frame()]
        while frames[-1].name != name:
            frames.append(await self.frame())
        return frames

    async def rest(self) -> bytes:
        """What comes until the server ends the stream."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()

    def close(self) -> None:
        self._writer.close()


class CountingMeter(PrometheusMeter):
    """Keeps what was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[list[Item]] = []
        self.closes: list[str] = []

    def sent(self, transport: str, items: Sequence[Item], size_bytes: int) -> None:
        super().sent(transport, items, size_bytes)
        self.writes.append(list(items))

    def streamed(self, told: Sequence[tuple[Sequence[Event], int]]) -> None:
        super().streamed(told)
        self.writes += [list(events) for events, streams in told for _ in range(streams)]

    def closed(self, transport: str, reason: str) -> None:
        super().closed(transport, reason)
        self.closes.append(reason)


class Site:
    """One process of the service as the web sees it; `client` speaks to it."""

    def __init__(
        self,
        store: MemoryStore,
        hub: Hub,
        meter: CountingMeter,
        app: web.Application,
        port: int,
        client: ClientSession,
        tickets: MemoryTickets,
    ) -> None:
        self.store = store
        self.hub = hub
        self.meter = meter
        self.app = app
        self.port = port
        self.client = client
        self.tickets = tickets
        self._streams: list[Stream] = []

    async def get(self, path: str, headers: dict[str, str] | None = None, user_id: str = "ann") -> ClientResponse:
        """As `user_id`, unless `headers` say who asks."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.client.get(path, headers=bearer(user_id) | (headers or {}))

    async def poll(self, tag: str | None = None, **headers: str) -> ClientResponse:
        """`prefer="wait=0"` becomes the header of that name."""
        tagged = {} if tag is None else {"If-None-Match": tag}
        return await self.get("/v1/orders/poll", tagged | headers)

    async def stream(
        self, query: str = "", headers: dict[str, str] | None = None, user_id: str = "ann", limit: int = 2**20
    ) -> Stream:
        """Opens a stream and reads its head."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
        lines = {"Host": f"127.0.0.1:{self.port}"} | (bearer(user_id) if headers is None else headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"GET /v1/orders/stream{query} HTTP/1.1\r\n{head}\r\n".encode(errors="surrogateescape"))
        async with asyncio.timeout(PATIENCE_S):
            stream = Stream(reader, writer, await reader.readuntil(b"\r\n\r\n"))
        self._streams.append(stream)
        return stream

    async def live(self, query: str = "", user_id: str = "ann") -> Stream:
        """A stream that was read up to `live`."""
        stream = await self.stream(query, user_id=user_id)
        await stream.until("live")
        return stream

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


MakeSite = Callable[..., Awaitable[Site]]


@pytest.fixture
async def make_site() -> AsyncIterator[MakeSite]:
    """`await make_site(store=…, heartbeat_s=…)`: settings of streams, polls, hub and store by their names.
    Without `turning` there are heartbeats only when the test turns the wheel."""
    sites: list[Site] = []
    wheels: list[asyncio.Task[None]] = []
    opened = AsyncExitStack()

    async def make(
        store: MemoryStore | None = None, leeway_s: float = 0.0, turning: bool = True, **settings: Any
    ) -> Site:
        settings["jwt_leeway_s"] = leeway_s

        def of(kind: Any) -> Any:
            return kind(**{name: value for name, value in settings.items() if name in kind.__struct_fields__})

        store = store or MemoryStore(of(StoreSettings))
        meter = CountingMeter()
        hub = Hub(store, meter, of(HubLimits))
        hub.epoch = store.epoch
        store.publishers.append(hub)
        origins, tickets = frozenset({ORIGIN}), MemoryTickets()
        logins = MemorySessions()
        app = make_app(
            hub=hub,
            order_reader=store,
            meter=meter,
            authenticator=Authenticator(
                Verifier(fixed_keys(SECRET, ""), None, of(JwtSettings)),
                TicketDesk(tickets),
                AuthenticatorSettings(jwt_cookie=COOKIE, cors_origins=[ORIGIN]),
            ),
            open_sessions=logins.sessions,
            session_store=logins,
            stream_settings=of(StreamSettings),
            poll_settings=of(PollSettings),
            cors_origins=origins,
        )
        server, port = Server(app, drain_timeout_s=0.1), free_port()
        opened.push_async_callback(server.stop)
        await server.start("127.0.0.1", port, key="listen")
        if turning:
            wheels.append(asyncio.ensure_future(app[WHEEL].run()))
        client = ClientSession(f"http://127.0.0.1:{port}", cookie_jar=CookieJar(unsafe=True))
        site = Site(store, hub, meter, app, port, await opened.enter_async_context(client), tickets)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.close()
        await site.hub.close()
    await opened.aclose()
    for wheel in wheels:
        wheel.cancel()
        with suppress(asyncio.CancelledError):
            await wheel


@pytest.fixture
async def site(make_site: MakeSite) -> Site:
    """One with the settings of a fresh installation."""
    return await make_site()
