"""Clients that write down all that they are told: raw ones over each transport, and the product's own.

They come back as ours do: with their cursor, after a silence too long for heartbeats, with a backoff drawn at random.
"""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import aiohttp

from orderstream.client import (
    ConnectionChanged,
    Event,
    ExecutionReported,
    Feed,
    FeedEnded,
    Limits,
    Order,
    OrderChanged,
    OrderRemoved,
    SnapshotTaken,
)
from tests.faults.history import Arrived, Broken, Committed, Fact, Item, Kept, Opened, Received, Reset, Snapshot
from tests.faults.writers import BEACON, USERS
from tests.services import Address
from tests.system.clients import ENDLESS, Frame, parse
from tests.waiting import PATIENCE_S

# Numbers as they are written: a double would round them.
loads = partial(json.loads, parse_float=str, parse_int=str)

BACKOFF_S, BACKOFF_CAP_S = 0.05, 1.0
# Refused for now, by a service or by the proxy before it.
_LATER = frozenset({429, 502, 503, 504})
_SLOW_BYTES = 2048


class Habits(NamedTuple):
    """How clients behave: which transports they take, whether they leave by themselves, and when they lose patience."""

    transports: tuple[str, ...] = ("sse", "sse", "poll")
    restless: bool = True  # leaves after a few events
    forgetful: float = 0.0  # how often it comes back without its cursor
    silence_s: float = PATIENCE_S  # 2.5 heartbeats
    poll_wait_s: int = 1
    jwt_s: float = 3600.0


_USUAL = Habits()


class Refused(Exception):
    """Not now."""


class Recorder:
    """What one client was told, and how it stands."""

    def __init__(self, name: str, user: str, *, merges: bool = False) -> None:
        self.received = Received(name, user, [], merges)
        self.cursor: str | None = None
        self.connections = 0
        # From each write to its arrival here.
        self.ages_s: list[float] = []
        self.beacon: str | None = None
        self._moved = asyncio.Event()

    @property
    def events(self) -> int:
        return sum(isinstance(item, Arrived) for item in self.received.items)

    def keep(self, item: Item, cursor: str | None = None) -> None:
        self.received.items.append(item)
        if cursor is not None:
            self.cursor = cursor
            self._moved.set()

    def see(self, client_order_id: str | None, reason: str | None) -> None:
        if client_order_id == BEACON:
            self.beacon = reason

    async def reached(self, seq: int) -> None:
        """Returns when it has been told everything up to `seq`."""
        while self.cursor is None or _place(self.cursor)[1] < seq:
            self._moved.clear()
            await self._moved.wait()


class RawClient(Recorder):
    """Follows one user at any of the addresses, and changes between them and between its transports for no reason."""

    def __init__(
        self, name: str, user: str, seed: int, urls: Sequence[str], cursor: str | None, habits: Habits = _USUAL
    ) -> None:
        super().__init__(name, user)
        self._random = random.Random(f"{seed} client {name}")
        self._urls = urls
        self.cursor = cursor
        self.habits = habits
        self._parts: dict[str, Kept] = {}
        self._rest_s = 0.0
        # A slow reader rests so long after each little that it reads.
        self.pause_s = 0.0

    async def run(self) -> None:
        """For ever; what a service that dies leaves half sent is forgotten."""
        failures = 0
        async with aiohttp.ClientSession() as session:
            while True:
                self._rest_s = 0.0
                most = self._random.randint(1, 60) if self.habits.restless else 1_000_000_000
                follow = {"sse": self._stream, "poll": self._poll}[self._random.choice(self.habits.transports)]
                if self._random.random() < self.habits.forgetful:
                    self.cursor = None
                try:
                    await follow(session, self._random.choice(self._urls), most)
                    failures = 0
                except (aiohttp.ClientError, ConnectionError, TimeoutError, Refused):
                    failures += 1
                    backoff_s = min(BACKOFF_S * 2**failures, BACKOFF_CAP_S)
                    self._rest_s = max(self._rest_s, self._random.uniform(0, backoff_s))
                await asyncio.sleep(self._rest_s)

    def _bearer(self) -> dict[str, str]:
        return Address.bearer(self.received.user, self.habits.jwt_s)

    def _open(self, transport: str) -> None:
        self.connections += 1
        self._parts = {}
        self.keep(Opened(transport, None if self.cursor is None else _place(self.cursor)))

    def _judge(self, response: aiohttp.ClientResponse, *lawful: int) -> None:
        if response.status in _LATER:
            raise Refused
        if response.status not in lawful:
            self.keep(Broken(f"{response.url.path} was answered {response.status}"))
            raise Refused

    async def _stream(self, session: aiohttp.ClientSession, url: str, most: int) -> None:
        headers, parameters = self._bearer(), dict[str, str]()
        if self.cursor is not None and self._random.random() < 0.5:
            headers["Last-Event-ID"] = self.cursor
        elif self.cursor is not None:
            parameters["cursor"] = self.cursor
        asked = session.get(f"{url}/v1/orders/stream", headers=headers, params=parameters, timeout=ENDLESS)
        async with asyncio.timeout(self.habits.silence_s) as silence, asked as response:
            self._judge(response, 200)
            self._open("sse")
            buffer, taken = b"", 0
            while taken < most and (chunk := await self._read(response.content)):
                silence.reschedule(asyncio.get_running_loop().time() + self.habits.silence_s)
                *blocks, buffer = (buffer + chunk).split(b"\n\n")
                for block in blocks:
                    frame = self._parsed(block)
                    taken += frame.id is not None
                    self._take(frame)

    async def _read(self, content: aiohttp.StreamReader) -> bytes:
        if not self.pause_s:
            return await content.readany()
        await asyncio.sleep(self.pause_s)
        return await content.read(_SLOW_BYTES)

    async def _poll(self, session: aiohttp.ClientSession, url: str, most: int) -> None:
        for _ in range(most // 10 + 1):
            wait_s = self.habits.poll_wait_s
            headers = self._bearer() | {"Prefer": f"wait={wait_s}"}
            if self.cursor is not None:
                headers["If-None-Match"] = f'W/"{self.cursor}"'
            timeout = aiohttp.ClientTimeout(total=wait_s + self.habits.silence_s)
            asked = session.get(f"{url}/v1/orders/poll", headers=headers, timeout=timeout)
            async with asked as response:
                self._judge(response, 200, 304)
                body = loads(await response.read()) if response.status == 200 else {}
                self._open("poll")
                self._take_answer(body)
            await asyncio.sleep(self.pause_s)

    def _take_answer(self, body: dict[str, Any]) -> None:
        if "reset" in body:
            self._take(Frame("reset", {"reason": body["reset"]}, None))
        if "orders" in body:
            self._take(Frame("snapshot", {"orders": body["orders"]}, None))
            self._take(Frame("snapshot-end", {}, body["cursor"]))
        for event in body.get("events", []):
            self._take(Frame(event["event"], event["data"], event["id"]))

    def _parsed(self, block: bytes) -> Frame:
        try:
            return parse(block, loads)
        except ValueError as error:
            self.keep(Broken(f"a frame that cannot be read: {error}: {block[:100]!r}"))
            raise Refused from None

    def _take(self, frame: Frame) -> None:
        match frame.event:
            case "reset":
                self._parts = {}
                self.keep(Reset(frame.data["reason"]))
            case "snapshot":
                for order in frame.data["orders"]:
                    self._parts[order["id"]] = Kept(int(order["version"]), digest(order))
                    self.see(order["client_order_id"], order["reason"])
            case "snapshot-end":
                assert frame.id is not None
                self.keep(Snapshot(*_place(frame.id), self._parts), frame.id)
                self._parts = {}
            case "order" | "execution" | "order-removed":
                assert frame.id is not None
                self.keep(Arrived(*_place(frame.id), fact_of(frame)), frame.id)
                if frame.event == "order":
                    self.see(frame.data["order"]["client_order_id"], frame.data["order"]["reason"])
                if "written_at" in frame.data:
                    self.ages_s.append(time.time() - datetime.fromisoformat(frame.data["written_at"]).timestamp())
            case "goaway" if not frame.data["reconnect"]:
                self.keep(Broken(f"told to go away for good: {frame.data['reason']}"))
            case "goaway":
                self._rest_s = int(frame.data["after_ms"]) / 1000


class FeedClient(Recorder):
    """The product's own client, of which only what its reader is told is written down."""

    def __init__(self, name: str, user: str, url: str, limits: Limits, jwt_s: float = 3600.0) -> None:
        super().__init__(name, user, merges=True)
        self._limits = limits
        self._url = url
        self._jwt_s = jwt_s

    async def run(self) -> None:
        """For ever, in one feed."""

        async def jwt() -> str:
            return Address.jwt(self.received.user, self._jwt_s)

        feed = Feed(self._url, jwt, limits=self._limits)
        self.keep(Opened("feed", None))
        try:
            async with aclosing(aiter(feed)) as events:
                async for event in events:
                    self._take(event)
                    # Of events that a snapshot already contained it tells nothing but their cursor.
                    self.cursor = feed.cursor
        except FeedEnded as error:
            self.keep(Broken(f"the feed ended for good: {error}"))

    def _take(self, event: Event) -> None:
        match event:
            case ConnectionChanged():
                self.connections += 1
            case SnapshotTaken(reset=reset, orders=orders):
                if reset is not None:
                    self.keep(Reset(reset))
                for order in orders:
                    self.see(order.client_order_id, order.reason)
                self.keep(Snapshot(*_id(event), {order.id: _kept(order) for order in orders}), event.id)
            case OrderChanged(order=order):
                self.see(order.client_order_id, order.reason)
                self.keep(Arrived(*_id(event), Fact("order", order.id, *_kept(order))), event.id)
            case ExecutionReported(execution=execution):
                self.keep(Arrived(*_id(event), Fact("execution", execution.id)), event.id)
            case OrderRemoved(order_id=order_id):
                self.keep(Arrived(*_id(event), Fact("order-removed", order_id)), event.id)


def digest(order: Mapping[str, Any]) -> str:
    """As the audit makes it."""
    said = f"{order['status']}|{order['filled_quantity']}|{order['reason'] or ''}"
    return hashlib.md5(said.encode(), usedforsecurity=False).hexdigest()[:12]


def _kept(order: Order) -> Kept:
    # Without an exponent, as it came.
    said = {"status": order.status, "filled_quantity": f"{order.filled_quantity:f}", "reason": order.reason}
    return Kept(order.version, digest(said))


def _place(cursor: str) -> tuple[str, int]:
    epoch, _, seq = cursor.partition(".")
    return epoch, int(seq)


def _id(event: Event) -> tuple[str, int]:
    assert event.id is not None
    return _place(event.id)


def fact_of(frame: Frame) -> Fact:
    """What a numbered event says."""
    match frame.event:
        case "order":
            order = frame.data["order"]
            return Fact("order", order["id"], int(order["version"]), digest(order))
        case "execution":
            return Fact("execution", frame.data["execution"]["id"])
        case _:
            return Fact("order-removed", frame.data["order_id"])


def clients_of(seed: int, services: Sequence[Address], epoch: str) -> list[RawClient]:
    """Three for each user: two that know nothing yet, and one that wants a snapshot."""
    urls = [service.url for service in services]
    return [
        RawClient(f"{user}-{kind}", user, seed, urls, cursor)
        for user in USERS
        for kind, cursor in [("whole", f"{epoch}.0"), ("again", f"{epoch}.0"), ("snapshot", None)]
    ]


class Following:
    """Clients that run."""

    def __init__(self, clients: Sequence[RawClient | FeedClient]) -> None:
        self._clients = clients
        self.tasks: list[asyncio.Task[None]] = []
        for client in clients:
            self.add(client)

    def add(self, client: RawClient | FeedClient) -> None:
        self.tasks.append(asyncio.create_task(client.run()))

    async def reached(self, truth: Committed) -> None:
        """Returns when all were told all of it; one that ends before has failed, and says how."""
        await self.until(
            lambda: asyncio.gather(*[one.reached(len(truth.commits[one.received.user])) for one in self._clients])
        )

    async def until(self, condition: Callable[[], asyncio.Future[Any]], within_s: float = PATIENCE_S) -> None:
        """Returns when what is awaited is there; raises TimeoutError, or what a client failed with."""
        awaited = condition()
        try:
            async with asyncio.timeout(within_s):
                done, _ = await asyncio.wait([awaited, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            awaited.cancel()
        for ended in done:
            ended.result()


@asynccontextmanager
async def running(clients: Sequence[RawClient | FeedClient]) -> AsyncIterator[Following]:
    """They follow meanwhile."""
    following = Following(clients)
    try:
        yield following
    finally:
        for task in following.tasks:
            task.cancel()
        await asyncio.gather(*following.tasks, return_exceptions=True)
