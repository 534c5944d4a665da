"""The hub: who is served from memory, who from the table, and that nobody is told a hole. The store is in memory, and
its answers come when the test lets them; the clock is the test's."""

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item, Live, Reset, Snapshot, SnapshotEnd, SnapshotPart, State
from orderstream.core.events import Event, SequencedEvent
from orderstream.core.log import ChannelPage
from orderstream.errors import DatabaseUnavailable, Unavailable
from orderstream.hub import Hub, HubLimits, Subscriber
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

    def __init__(self, user_id: str = "ann", cursor: str | None = None) -> None:
        self.user_id = user_id
        self.cursor = cursor
        self.orders: dict[str, int] = {}
        self.names: list[str] = []
        self.failed: Unavailable | None = None
        self.ready = True
        self.resets: list[str] = []
        self.subscriber: Subscriber | None = None
        self._arriving: dict[str, int] | None = {} if cursor is None else None

    def send(self, items: Sequence[Item]) -> None:
        for item in items:
            self.names.append(item.name if isinstance(item, Event) else type(item).__name__)
            self._take(item)

    def flush(self) -> None:
        pass

    def fail(self, error: Unavailable) -> None:
        self.failed = error
        self.close()

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        self.close()

    def close(self) -> None:
        if self.subscriber is not None:
            self.subscriber.close()

    def connect(self, hub: Hub) -> "Client":
        self.subscriber = hub.subscribe(self.user_id, self.cursor, self)
        self.subscriber.pump()
        return self

    def again(self) -> "Client":
        """The same client's next connection; its cursor is the one that it last knew for sure."""
        client = Client(self.user_id, self.cursor)
        client.orders = dict(self.orders)
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


@pytest.fixture
def table() -> MemoryStore:
    return MemoryStore(StoreSettings(log_max_events=8, replay_page_events=5))


@pytest.fixture
def store(table: MemoryStore) -> LateStore:
    return LateStore(table)


@pytest.fixture
def make_hub(store: LateStore, table: MemoryStore) -> Callable[..., Hub]:
    """A hub, told of every commit at once unless `told` is false."""

    def make(*, told: bool = True, **limits: Any) -> Hub:
        hub = Hub(store, CountingMeter(), HubLimits(**{"log_max_events": 8, **limits}))
        hub.renew(table.epoch)
        if told:
            table.publishers.append(hub)
        return hub

    return make


def rows(table: MemoryStore, user_id: str = "ann") -> list[SequencedEvent]:
    return table._events[user_id]


# Keeping


@in_turns
async def test_client_that_comes_back_within_the_grace_time_is_served_from_memory(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """What came meanwhile is in the log; the store is not asked."""
    hub = make_hub(channel_grace_s=120.0)
    client = Client().connect(hub)
    await settle()
    client.close()
    asked = len(store.questions)
    table.place("ann")
    await asyncio.sleep(119)
    hub.sweep()
    back = client.again().connect(hub)
    assert back.names == ["order", "Live"]
    assert len(store.questions) == asked


@in_turns
async def test_channel_goes_after_the_grace_time_and_never_under_a_subscriber(make_hub: Callable[..., Hub]) -> None:
    """Counted from when the last one left."""
    hub = make_hub(channel_grace_s=120.0)
    ann, bob = Client("ann").connect(hub), Client("bob").connect(hub)
    await asyncio.sleep(1000)
    ann.close()
    await asyncio.sleep(121)
    hub.sweep()
    assert hub.channel_count == 1
    assert [one.channel.user_id for one in hub.subscribers()] == [bob.user_id]


@in_turns
async def test_longest_idle_channel_makes_room_for_a_new_one(make_hub: Callable[..., Hub], store: LateStore) -> None:
    """Its user is served all the same, from the table."""
    hub = make_hub(max_channels=2)
    ann, bob = Client("ann").connect(hub), Client("bob").connect(hub)
    await settle()
    ann.close()
    await settle()
    bob.close()
    Client("cid").connect(hub)
    await settle()
    asked = len(store.questions)
    assert bob.again().connect(hub).names == ["Live"]
    assert len(store.questions) == asked


@in_turns
async def test_more_users_than_channels_are_turned_away(make_hub: Callable[..., Hub]) -> None:
    """Those who are being served stay."""
    hub = make_hub(max_channels=1)
    ann = Client("ann").connect(hub)
    with pytest.raises(Unavailable):
        Client("bob").connect(hub)
    await settle()
    assert ann.names[-1] == "Live"


# Asking


@in_turns
async def test_loads_and_snapshots_of_many_are_few_queries(make_hub: Callable[..., Hub], store: LateStore) -> None:
    """A thousand who connect at once: two queries of each kind, since one holds 500 users."""
    hub = make_hub(load_max_users=500)
    clients = [Client(f"u{n}").connect(hub) for n in range(1000)]
    await settle()
    assert {client.names[-1] for client in clients} == {"Live"}
    assert sorted(store.questions) == [("channels", 500)] * 2 + [("snapshots", 500)] * 2


@in_turns
async def test_many_clients_of_one_user_share_a_load_and_a_snapshot(
    make_hub: Callable[..., Hub], store: LateStore
) -> None:
    """One channel, one page, one snapshot."""
    hub = make_hub()
    clients = [Client().connect(hub) for _ in range(20)]
    await settle()
    assert {client.names[-1] for client in clients} == {"Live"}
    assert sorted(store.questions) == [("channels", 1), ("snapshots", 1)]


# Failing


@in_turns
async def test_lost_store_turns_away_only_those_who_need_it(make_hub: Callable[..., Hub], table: MemoryStore) -> None:
    """A live one stays, one that finds its channel warm and its cursor in it is served, a new user is refused."""
    hub = make_hub()
    live = Client("ann").connect(hub)
    await settle()
    table.reachable = False
    stays, refused = live.again().connect(hub), Client("bob").connect(hub)
    fresh = Client("ann").connect(hub)
    await settle()
    assert (live.failed, stays.failed, stays.names) == (None, None, ["Live"])
    assert isinstance(refused.failed, DatabaseUnavailable)
    assert isinstance(fresh.failed, DatabaseUnavailable)
    assert set(hub.subscribers()) == {live.subscriber, stays.subscriber}


@in_turns
async def test_live_stream_goes_on_where_it_was_when_the_store_is_back(
    make_hub: Callable[..., Hub], table: MemoryStore
) -> None:
    """Memory was not to be trusted when nothing could be read: it waits, and misses nothing."""
    hub = make_hub(load_retry_s=1.0)
    client = Client().connect(hub)
    await settle()
    table.reachable = False
    hub.forget()
    order_id = table.place("ann")
    table.change(order_id, status="filled")
    await asyncio.sleep(10)
    assert client.names == ["SnapshotEnd", "Live"]
    table.reachable = True
    await asyncio.sleep(2)
    assert (client.failed, client.resets, client.orders) == (None, [], {order_id: 2})


@in_turns
async def test_unexpected_failure_of_the_store_is_told_and_not_passed_over(
    make_hub: Callable[..., Hub], store: LateStore
) -> None:
    """Silence is no answer: what nobody thought of is a service that is not there."""
    hub = make_hub()
    store.hold()
    client = Client("ann").connect(hub)
    await settle()
    store.let(error=KeyError("a column that was renamed"))
    await settle()
    assert isinstance(client.failed, Unavailable)


@pytest.mark.parametrize("cursor", [None, "00000000.0"])
@in_turns
async def test_line_about_what_is_read_for_many_has_no_name_of_one_request(
    make_hub: Callable[..., Hub], store: LateStore, cursor: str | None
) -> None:
    """The first who asks sets the question off, and is not the only one it fails for."""
    hub = make_hub()
    store.hold()
    with capture_logs(processors=[merge_contextvars]) as lines, bound_contextvars(request_id="ann's"):
        Client("ann", cursor).connect(hub)
        Client("bob", cursor).connect(hub)
        await settle()
        store.let(error=KeyError("a column that was renamed"))
        await settle()
    assert [(line["event"], line.get("request_id")) for line in lines] == [("store-failed", None)]


@in_turns
async def test_line_about_a_task_that_failed_has_no_name_of_one_request(make_hub: Callable[..., Hub]) -> None:
    """It may be another's who was served in it."""

    class Broken(Client):
        def send(self, items: Sequence[Item]) -> None:
            raise ValueError

    hub = make_hub()
    Client().connect(hub)
    await settle()
    with capture_logs(processors=[merge_contextvars]) as lines, bound_contextvars(request_id="ann's"):
        Broken().connect(hub)
        await settle()
    assert [(line["event"], line.get("request_id")) for line in lines] == [("hub-task-failed", None)]


@in_turns
async def test_nobody_is_added_once_the_hub_drains(make_hub: Callable[..., Hub]) -> None:
    """One who came late would be cut without a goaway."""
    hub = make_hub()
    ann = Client("ann").connect(hub)
    assert list(hub.drain()) == [ann.subscriber]
    with pytest.raises(Unavailable):
        Client("bob").connect(hub)


@in_turns
async def test_channel_whose_loads_failed_serves_the_next_client(
    make_hub: Callable[..., Hub], table: MemoryStore
) -> None:
    """A failure leaves nothing behind."""
    hub = make_hub()
    table.reachable = False
    first = Client().connect(hub)
    await settle()
    table.reachable = True
    second = first.again().connect(hub)
    await asyncio.sleep(2)
    assert first.failed is not None
    assert second.names[-1] == "Live"


@in_turns
async def test_slow_outlet_is_not_queued_for_and_catches_up(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """What it did not take is in the log for everybody, and beyond that in the table, read page by page."""
    hub = make_hub()
    slow = Client().connect(hub)
    await settle()
    slow.ready = False
    for _ in range(40):
        table.place("ann")
    assert slow.subscriber is not None
    assert len(slow.subscriber.channel.log.after(0, 10**9)) <= 8
    slow.ready = True
    slow.subscriber.pump()
    await settle()
    assert len(slow.orders) == 40
    assert 5 <= store.questions.count(("events", 1)) <= 8


@in_turns
async def test_subscriber_that_closes_during_its_read_is_told_nothing(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """The answer warms the channel for the next one."""
    table.place("ann")
    hub = make_hub()
    store.hold()
    gone = Client().connect(hub)
    await settle()
    store.let()
    await settle()
    gone.close()
    store.let_all()
    await settle()
    assert gone.names == []
    assert list(hub.subscribers()) == []


# Epochs


@in_turns
async def test_renewal_resets_everybody_once(make_hub: Callable[..., Hub], table: MemoryStore) -> None:
    """Live, loading or slow."""
    hub = make_hub()
    clients = [Client(user_id).connect(hub) for user_id in ("ann", "ann", "bob")]
    await settle()
    clients[1].ready = False
    table.renew_epoch()
    await settle()
    clients[1].ready = True
    for client in clients:
        assert client.subscriber is not None
        client.subscriber.pump()
    await settle()
    assert [client.resets for client in clients] == [["epoch-changed"]] * 3
    assert {client.cursor for client in clients} == {"0b0b0b0b.0"}


@in_turns
async def test_forgetting_loses_nothing_and_resets_nobody(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """Everybody goes on from the table, also past what came while it was asked."""
    hub = make_hub()
    client = Client().connect(hub)
    await settle()
    table.publishers.remove(hub)
    missed = [table.place("ann") for _ in range(3)]
    table.publishers.append(hub)
    store.hold()
    hub.forget()
    await settle()
    held = table.place("ann")
    store.let_all()
    await settle()
    assert client.orders == dict.fromkeys([*missed, held], 1)
    assert client.resets == []


@in_turns
async def test_event_is_found_in_the_channel_of_its_user_only(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """From memory: the store is not asked, and no channel is opened for whoever has none."""
    hub = make_hub()
    Client("ann").connect(hub)
    Client("bob").connect(hub)
    await settle()
    table.place("ann")
    asked, channels, cursor = list(store.questions), hub.channel_count, Cursor(table.epoch, 1)
    found = {user_id: hub.event(user_id, cursor) for user_id in ("ann", "bob", "cat")}
    assert {user_id: event and event.seq for user_id, event in found.items()} == {"ann": 1, "bob": None, "cat": None}
    assert (store.questions, hub.channel_count) == (asked, channels)


@pytest.mark.parametrize("cursor", [None, "0a0a0a0a.0"])
@in_turns
async def test_epoch_that_a_page_knows_first_is_in_force(
    make_hub: Callable[..., Hub], table: MemoryStore, cursor: str | None
) -> None:
    """The follower may be late or away; whoever connects is served of the new epoch, and the others are reset."""
    hub = make_hub(told=False)
    live = Client("bob").connect(hub)
    await settle()
    table.renew_epoch()
    client = Client("ann", cursor).connect(hub)
    await settle()
    assert (client.cursor, live.cursor) == ("0b0b0b0b.0", "0b0b0b0b.0")
    assert live.resets == ["epoch-changed"]
    assert hub.epoch == table.epoch


@in_turns
async def test_epoch_that_a_snapshot_knows_first_is_in_force(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """The channel is warm, of the epoch before: a client must not be reset over and over until the follower knows."""
    hub = make_hub(told=False)
    live = Client("ann").connect(hub)
    await settle()
    table.renew_epoch()
    asked = len(store.questions)
    client = Client("ann").connect(hub)
    await settle()
    assert (client.resets, client.cursor) == ([], "0b0b0b0b.0")
    assert (live.resets, live.cursor) == (["epoch-changed"], "0b0b0b0b.0")
    assert len(store.questions) - asked <= 4


@in_turns
async def test_page_of_an_old_epoch_that_arrives_late_is_asked_for_again(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """It does not bring the old epoch back."""
    table.place("ann")
    hub = make_hub()
    store.hold()
    client = Client("ann", "0a0a0a0a.0").connect(hub)
    await settle()
    table.renew_epoch()
    store.let_all()
    await settle()
    assert hub.epoch == table.epoch
    assert (client.resets, client.cursor) == (["epoch-changed"], "0b0b0b0b.1")


@in_turns
async def test_snapshot_of_an_old_epoch_that_arrives_late_is_asked_for_again(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """Its client is not shown what would be reset at once."""
    hub = make_hub()
    client = Client("ann").connect(hub)
    await settle()
    store.hold()
    fresh = Client("ann").connect(hub)
    await settle()
    table.renew_epoch()
    store.let_all()
    await settle()
    assert (fresh.resets, fresh.cursor) == ([], "0b0b0b0b.0")
    assert client.resets == ["epoch-changed"]


# Ahead


@in_turns
async def test_cursor_ahead_of_a_late_follower_is_looked_up_and_continued(
    make_hub: Callable[..., Hub], table: MemoryStore
) -> None:
    """Another process gave it out: no reset, and nothing twice when the follower comes up."""
    hub = make_hub(told=False)
    Client().connect(hub)
    await settle()
    table.place("ann")
    ahead = Client("ann", "0a0a0a0a.1").connect(hub)
    await settle()
    assert (ahead.names, ahead.resets) == (["Live"], [])
    hub.publish(rows(table))
    table.publishers.append(hub)
    table.place("ann")
    assert ahead.names == ["Live", "order"]


@in_turns
async def test_cursor_ahead_of_the_table_is_reset(make_hub: Callable[..., Hub], store: LateStore) -> None:
    """After one more look."""
    hub = make_hub()
    ahead = Client("ann", "0a0a0a0a.7").connect(hub)
    await settle()
    assert (ahead.resets, ahead.cursor) == (["cursor-ahead"], "0a0a0a0a.0")
    assert store.questions.count(("channels", 1)) == 2


# Everything at once


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
    """A table, a late follower, a hub, clients: and what may happen, one thing at a time."""

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

    def happens(self) -> None:
        kinds = [self.commits, self.commits, self.publishes, self.publishes, self.answers, self.answers]
        kinds += [self.fails, self.connects, self.departs, self.stalls, self.renews, self.forgets, self.retires]
        kinds[self._choose(len(kinds))]()

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

    def connects(self) -> None:
        away = [client for client in self.clients if not is_open(client)]
        if away and self._choose(3):
            client = away[self._choose(len(away))]
            self.clients.remove(client)
            self.clients.append(client.again().connect(self.hub))
        elif len(self.clients) < 6:
            self.clients.append(Client(("ann", "bob")[self._choose(2)]).connect(self.hub))

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
        self.table.renew_epoch(f"{self._choose(2**16):08x}")

    def forgets(self) -> None:
        self.hub.forget()

    def retires(self) -> None:
        for user_id in self.order_ids:
            self.table.retire(user_id, rows(self.table, user_id)[-1].seq - self._choose(3))

    async def comes_to_rest(self) -> None:
        """Everything is published and answered, and everybody is there."""
        self.store.let_all()
        self.feed.go_on(self.table, 10**6)
        await settle()
        for at, client in enumerate(self.clients):
            client.ready = True
            if not is_open(client):
                self.clients[at] = client.again().connect(self.hub)
            elif client.subscriber is not None:
                client.subscriber.pump()
        await asyncio.sleep(10)


def is_open(client: Client) -> bool:
    return client.subscriber is not None and client.subscriber.delivery.state is not State.CLOSED


@pytest.mark.parametrize("seed", range(60))
@in_turns
async def test_whatever_happens_every_client_ends_with_what_the_table_holds(seed: int) -> None:
    """Each event after its cursor once and in order, or a reset and a snapshot: `Client` fails on anything else."""
    dice = random.Random(seed)
    world = World(dice.randrange)
    for _ in range(150):
        world.happens()
        await asyncio.sleep(dice.choice([0, 0.001, 0.01, 2.0]))
        world.hub.sweep()
    await world.comes_to_rest()
    for client in world.clients:
        assert client.failed is None
        assert client.orders == {order: world.table._orders[order]["version"] for order in client.orders}
        assert client.cursor == str(world.table._cursor(client.user_id))
        assert len(client.orders) == (client.user_id in world.order_ids)
    await world.hub.close()
