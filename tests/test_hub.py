"""The hub: who is served from memory, who from the table, and that nobody is told a hole. The store is in memory, and
its answers come when the test lets them; the clock is the test's."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item
from orderstream.errors import DatabaseUnavailable, Unavailable
from orderstream.hub import Hub, HubLimits
from orderstream.postgres.store import StoreSettings
from tests.hub_world import Client, LateStore, in_turns, rows, settle
from tests.postgres.feed import CountingMeter
from tests.web.memory import MemoryStore


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
    assert len(slow.subscriber.channel.after(0, 10**9)) <= 8
    slow.ready = True
    slow.subscriber.pump()
    await settle()
    assert len(slow.orders) == 40
    assert 5 <= store.questions.count(("events", 1)) <= 8


@in_turns
async def test_streams_that_know_all_before_are_written_the_same_bytes_once(
    make_hub: Callable[..., Hub], table: MemoryStore
) -> None:
    """All of a batch in one write; one that lags behind, and one that takes items, are served as they can be."""
    hub, told = make_hub(told=False), []
    meter = hub._meter
    assert isinstance(meter, CountingMeter)
    meter.streamed = lambda counted: told.extend((len(events), streams) for events, streams in counted)  # type: ignore[attr-defined]
    streams = [Client().connect(hub) for _ in range(3)]
    poll = Client(is_stream=False).connect(hub)
    await settle()
    streams[0].ready = False
    for _ in range(4):
        table.place("ann")
    hub.publish(rows(table))
    assert told == [(4, 2)]
    assert [len(client.orders) for client in [*streams, poll]] == [0, 4, 4, 4]


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
async def test_page_that_was_asked_for_before_all_was_forgotten_is_asked_for_again(
    make_hub: Callable[..., Hub], store: LateStore, table: MemoryStore
) -> None:
    """What was told while it was on its way was forgotten too, and nobody tells it a second time."""
    hub = make_hub()
    client = Client().connect(hub)
    await settle()
    store.hold()
    hub.forget()
    await settle()
    order_id = table.place("ann")
    hub.forget()
    store.let_all()
    await settle()
    assert (client.resets, client.orders) == ([], {order_id: 1})


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
