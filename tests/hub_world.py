"""A hub between a late store, a late follower and clients who check the law: what its tests have in common.

The store is in memory and answers when it is let; the clock is the test's.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from orderstream.channel import Subscriber
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item, Live, Reset, Snapshot, SnapshotEnd, SnapshotPart, State
from orderstream.core.events import Event, SequencedEvent
from orderstream.core.log import ChannelPage
from orderstream.errors import DatabaseUnavailable, Unavailable
from orderstream.hub import Hub, HubLimits
from orderstream.postgres.store import StoreSettings
from tests.postgres.feed import CountingMeter
from tests.web.memory import MemoryStore


class Turns(asyncio.SelectorEventLoop):
    """A loop whose clock goes on only when nothing else is to be done, then at once to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def skip(timeout: float | None) -> Any:
            self._now += timeout or 0.0
            return select(0 if timeout is not None else None)

        self._selector.select = skip  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


def in_turns(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test on such a loop."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=Turns) as runner:
            runner.run(test(*arguments, **fixtures))

    return run


async def settle() -> None:
    """All that can happen without an answer or an hour has happened."""
    await asyncio.sleep(0.1)


class LateStore:
    """A Store whose answers are of the moment they were asked for, and arrive when they are let."""

    def __init__(self, table: MemoryStore) -> None:
        self.table = table
        self.questions: list[tuple[str, int]] = []
        self.held: list[asyncio.Future[None]] | None = None

    def hold(self) -> None:
        self.held = []

    def let(self, at: int = 0, error: Exception | None = None) -> None:
        """One answer arrives, or its failure."""
        assert self.held is not None
        answer = self.held.pop(at)
        if not answer.done():
            answer.set_exception(error) if error else answer.set_result(None)

    def let_all(self) -> None:
        while self.held:
            self.let()
        self.held = None

    async def channel_pages(self, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], ChannelPage]:
        return await self._late("channels", len(wanted), await self.table.channel_pages(wanted))

    async def snapshots(self, user_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        return await self._late("snapshots", len(user_ids), await self.table.snapshots(user_ids))

    async def events_after(self, user_id: str, seq: int) -> tuple[str, Sequence[Event]]:
        return await self._late("events", 1, await self.table.events_after(user_id, seq))

    async def _late(self, kind: str, users: int, answer: Any) -> Any:
        self.questions.append((kind, users))
        if self.held is not None:
            let = asyncio.get_running_loop().create_future()
            self.held.append(let)
            await let
        return answer


class Client:
    """An outlet that believes the law (I4) and checks it: what it shows are versions of orders by id."""

    def __init__(self, user_id: str = "ann", cursor: str | None = None, *, is_stream: bool = True) -> None:
        self.user_id = user_id
        self.is_stream = is_stream
        self.cursor = cursor
        self.orders: dict[str, int] = {}
        self.names: list[str] = []
        self.failed: Unavailable | None = None
        self.wronged: AssertionError | None = None
        """How the law was broken, where the hub's task only logs it."""
        self.ready = True
        self.resets: list[str] = []
        self.subscriber: Subscriber | None = None
        self._arriving: dict[str, int] | None = {} if cursor is None else None

    def send(self, items: Sequence[Item]) -> None:
        for item in items:
            self.names.append(item.name if isinstance(item, Event) else type(item).__name__)
            try:
                self._take(item)
            except AssertionError as wrong:
                self.wronged = wrong
                raise

    def flush(self) -> None:
        pass

    def write(self, frames: bytes) -> None:
        for frame in frames.removesuffix(b"\n\n").split(b"\n\n"):
            id_, name, _ = (line.partition(": ")[2] for line in frame.decode().split("\n"))
            epoch, seq = id_.split(".")
            self.send([Event(epoch, int(seq), name, frame + b"\n\n", 0.0)])

    def fail(self, error: Unavailable) -> None:
        self.failed = error
        self.close()

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        self.close()

    def close(self) -> None:
        if self.subscriber is not None:
            self.subscriber.close()

    def connect(self, hub: Hub) -> "Client":
        subscribe = hub.subscribe_stream if self.is_stream else hub.subscribe
        self.subscriber = subscribe(self.user_id, self.cursor, self)
        self.subscriber.pump()
        return self

    def again(self) -> "Client":
        """The same client's next connection; its cursor is the one that it last knew for sure."""
        client = Client(self.user_id, self.cursor, is_stream=self.is_stream)
        client.orders, client.wronged = dict(self.orders), self.wronged
        return client

    def _take(self, item: Item) -> None:
        match item:
            case Reset(reason):
                assert self._arriving is None, "a reset within a snapshot"
                self.resets.append(reason)
                self._arriving = {}
            case SnapshotPart(orders):
                assert self._arriving is not None, "a snapshot that nobody asked for"
                self._arriving |= {order["id"]: order["version"] for order in map(msgspec.json.decode, orders)}
            case SnapshotEnd(cursor, total):
                assert self._arriving is not None
                assert len(self._arriving) == total
                self.orders, self._arriving, self.cursor = self._arriving, None, str(cursor)
            case Live(head):
                assert str(head) == self.cursor
            case Event():
                self._take_event(item)

    def _take_event(self, event: Event) -> None:
        assert self._arriving is None, "an event before its snapshot"
        assert self.cursor is not None
        epoch, seq = self.cursor.split(".")
        assert (event.epoch, event.seq) == (epoch, int(seq) + 1), f"{event.epoch}.{event.seq} after {self.cursor}"
        order = msgspec.json.decode(event.body)["order"]
        self.orders[order["id"]] = max(order["version"], self.orders.get(order["id"], 0))
        self.cursor = str(Cursor(event.epoch, event.seq))


def rows(table: MemoryStore, user_id: str = "ann") -> list[SequencedEvent]:
    return table._events[user_id]


class Feed:
    """A follower that is late: what the table tells waits until it is published."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.waiting: list[SequencedEvent] = []

    def publish(self, batch: Sequence[SequencedEvent]) -> None:
        self.waiting.extend(batch)

    def renew(self, epoch: str) -> None:
        pass

    def forget(self) -> None:
        pass

    def go_on(self, table: MemoryStore, count: int) -> None:
        """Publishes the next ones; when it has come up it says which epoch is in force."""
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        self.hub.publish(batch)
        if not self.waiting:
            self.hub.renew(table.epoch)


class World:
    """A table, a late follower, a hub, clients: and what may happen, one thing at a time. `choose(n)` gives one of the
    numbers below n."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self.table = MemoryStore(StoreSettings(log_max_events=3, replay_page_events=2))
        self.store = LateStore(self.table)
        self.store.hold()
        limits = HubLimits(log_max_events=3, max_channels=2, channel_grace_s=5.0, load_max_users=2)
        self.hub = Hub(self.store, CountingMeter(), limits)
        self.feed = Feed(self.hub)
        self.table.publishers.append(self.feed)
        self.clients: list[Client] = []
        self.order_ids: dict[str, str] = {}

    def commits(self) -> None:
        user_id = ("ann", "bob")[self._choose(2)]
        if (order_id := self.order_ids.get(user_id)) is not None:
            self.table.change(order_id, quantity=str(10 + self._choose(5)))
        else:
            self.order_ids[user_id] = self.table.place(user_id)

    def publishes(self) -> None:
        self.feed.go_on(self.table, 1 + self._choose(3))

    def answers(self) -> None:
        if self.store.held:
            self.store.let(self._choose(len(self.store.held)))

    def fails(self) -> None:
        if self.store.held:
            self.store.let(self._choose(len(self.store.held)), DatabaseUnavailable("gone"))

    def _client(self) -> Client:
        # Some of both kinds, those that are told and those that ask.
        return Client(("ann", "bob")[self._choose(2)], is_stream=len(self.clients) % 3 > 0)

    def connects(self) -> None:
        away = [client for client in self.clients if not is_open(client)]
        if away and self._choose(3):
            client = away[self._choose(len(away))]
            self.clients.remove(client)
            self.clients.append(client.again().connect(self.hub))
        elif len(self.clients) < 6:
            self.clients.append(self._client().connect(self.hub))

    def departs(self) -> None:
        if self.clients:
            self.clients[self._choose(len(self.clients))].close()

    def stalls(self) -> None:
        if self.clients:
            client = self.clients[self._choose(len(self.clients))]
            client.ready = not client.ready
            if client.ready and client.subscriber is not None:
                client.subscriber.pump()

    def renews(self) -> None:
        # One that never was: numbers that were given out before must not count again.
        self.table.renew_epoch(f"{int(self.table.epoch, 16) + 1:08x}")

    def forgets(self) -> None:
        self.hub.forget()

    def misses(self) -> None:
        """Retention was faster than the follower, which says so and goes on behind the hole."""
        del self.feed.waiting[: 1 + self._choose(3)]
        self.hub.forget()

    def retires(self) -> None:
        for user_id in self.order_ids:
            self.table.retire(user_id, rows(self.table, user_id)[-1].seq - self._choose(3))

    async def comes_to_rest(self) -> None:
        """Everything is published and answered, and everybody is there. From then on answers are held again."""
        self.store.let_all()
        self.feed.go_on(self.table, 10**6)
        await settle()
        for at, client in enumerate(self.clients):
            if not is_open(client):
                self.clients[at] = client.again().connect(self.hub)
            elif not client.ready and client.subscriber is not None:
                client.ready = True
                client.subscriber.pump()
        await asyncio.sleep(10)
        self.store.hold()


def is_open(client: Client) -> bool:
    return client.subscriber is not None and client.subscriber.state is not State.CLOSED
