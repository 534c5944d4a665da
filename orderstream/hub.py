"""From a user's new events to their subscribers: user_id -> Channel (a log) -> Subscriber (a delivery) -> outlet.

A subscriber is a position in its channel's log, not a queue: a slow one costs no memory. A channel outlives its last
subscriber by a grace time, so that a client that reconnects is served from memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextvars import Context
from typing import Any, TypeVar

import msgspec
import structlog

from orderstream.channel import Channel, StreamSubscriber, Subscriber
from orderstream.collector import Collector
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import (
    Action,
    ReadChannel,
    ReadEvents,
    ReadSnapshot,
    Snapshot,
    State,
)
from orderstream.core.events import Event, SequencedEvent, encoded
from orderstream.core.log import ChannelPage, LogBounds
from orderstream.errors import Unavailable
from orderstream.ports import Meter, Outlet, Store, StreamOutlet

_log = structlog.get_logger()

T = TypeVar("T")

# Asks for a page without events: no seq is as high.
NOTHING_AFTER = 2**63 - 1
# What is new is written to streams as it is up to here; of more, each takes as much as it can.
_MOST_TOLD_BYTES = 65_536
# Users whose streams were written to before all of that is counted, at one time: a clock that is read once for each
# write, between two writes, costs as much as all else of the counting. Eight take about 0.1 ms.
_COUNTED_USERS = 8


class HubLimits(msgspec.Struct, frozen=True):
    """Sizes and fates, from the settings of the same names."""

    log_max_events: int = 256
    log_max_bytes: int = 262_144
    max_channels: int = 100_000
    channel_grace_s: float = 120.0
    load_window_s: float = 0.003
    load_max_users: int = 500
    load_retry_s: float = 1.0


class Hub:
    """The channels of this process. A Publisher for the follower, and where transports subscribe."""

    def __init__(
        self, store: Store, meter: Meter, limits: HubLimits, *, clock: Callable[[], float] | None = None
    ) -> None:
        self.epoch = ""
        # How often what was in memory was dropped within an epoch.
        self._forgotten = 0
        self._draining = False
        self._store = store
        self._meter = meter
        self._limits = limits
        self._bounds = LogBounds(limits.log_max_events, limits.log_max_bytes)
        self._clock = clock or asyncio.get_running_loop().time
        self._channels: dict[str, Channel] = {}
        # When those without subscribers lost the last one, the longest idle first.
        self._idle: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        window_s, max_keys = limits.load_window_s, limits.load_max_users
        self._pages = Collector(self._fetch_pages, window_s=window_s, max_keys=max_keys)
        self._snapshots = Collector(self._fetch_snapshots, window_s=window_s, max_keys=max_keys)

    # Subscribers

    def subscribe(self, user_id: str, cursor: str | None, outlet: Outlet) -> Subscriber:
        """Adds a subscriber that knows `cursor` (None: nothing); call its `pump` once the outlet is ready.
        Raises Unavailable where no channel can be made (any more). `user_id` is the authenticated user (I6)."""
        return self._add(Subscriber, user_id, cursor, outlet)

    def subscribe_stream(self, user_id: str, cursor: str | None, outlet: StreamOutlet) -> Subscriber:
        """The same for one that writes frames as they are."""
        return self._add(StreamSubscriber, user_id, cursor, outlet)

    def _add(self, kind: type[Subscriber], user_id: str, cursor: str | None, outlet: Outlet) -> Subscriber:
        if self._draining:
            raise Unavailable("this process is being stopped", retry_after_s=1.0)
        channel = self._channels.get(user_id) or self._open(user_id)
        subscriber = kind(self, channel, cursor, outlet)
        channel.add(subscriber)
        self._idle.pop(user_id, None)
        self._load_if_wanted(channel)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Called by `Subscriber.close`."""
        channel = subscriber.channel
        channel.remove(subscriber)
        if not channel.subscribers:
            self._idle[channel.user_id] = self._clock()

    def resumed(self, source: str) -> None:
        """Called once for each subscriber that goes on after its client's cursor."""
        self._meter.resumed(source)

    def drain(self) -> Iterator[Subscriber]:
        """All subscribers, after whom none will be added."""
        self._draining = True
        return self.subscribers()

    def subscribers(self) -> Iterator[Subscriber]:
        """All of them, as they are now."""
        for channel in list(self._channels.values()):
            yield from channel.subscribers

    def event(self, user_id: str, cursor: Cursor) -> Event | None:
        """The user's event of `cursor`, where it is in memory: the table is not asked. `user_id` is the authenticated
        user (I6)."""
        channel = self._channels.get(user_id)
        return None if channel is None else channel.event(cursor)

    @property
    def channel_count(self) -> int:
        return len(self._channels)

    @property
    def log_bytes(self) -> int:
        """Of all events that are held. It looks at every channel: for a scrape, not for an event."""
        return sum(channel.size_bytes for channel in self._channels.values())

    # Publisher

    def publish(self, batch: Sequence[SequencedEvent]) -> None:
        """Encodes each event once, if anybody's channel is here, and tells that channel's subscribers."""
        channels = self._channels
        news: dict[Channel, list[Event]] = {}
        for row in batch:
            if row.epoch != self.epoch:
                self.renew(row.epoch)
            channel = channels.get(row.user_id)
            if channel is not None and channel.append(event := encoded(row)):
                news.setdefault(channel, []).append(event)
        told: list[tuple[Sequence[Event], int]] = []
        for channel, events in news.items():
            if streams := self._tell(channel, events):
                told.append((events, streams))
            if len(told) == _COUNTED_USERS:
                self._meter.streamed(told)
                told.clear()
        if told:
            self._meter.streamed(told)

    def _tell(self, channel: Channel, events: Sequence[Event]) -> int:
        """Their newest events, to all of a channel's subscribers; how many were simply written to."""
        if not channel.warm:
            self._load_if_wanted(channel)
            return 0
        # As it is warm, all of them follow what was known before.
        seq, frames = events[0].seq - 1, _in_one(events)
        told = 0
        for subscriber in channel.subscribers:
            if len(frames) <= _MOST_TOLD_BYTES and subscriber.tell(seq, frames):
                told += 1
            else:
                subscriber.pump()
        return told

    def renew(self, epoch: str) -> None:
        """All that was promised before is void: every subscriber is reset."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._chill()

    def forget(self) -> None:
        """Drops what is held in memory; subscribers go on from the table."""
        self._forgotten += 1
        self._chill()

    def _chill(self) -> None:
        for channel in list(self._channels.values()):
            channel.chill()
            self._load_if_wanted(channel)

    # Keeping

    def sweep(self) -> None:
        """Drops channels that nobody came back to within the grace time."""
        limit = self._clock() - self._limits.channel_grace_s
        while self._idle and next(iter(self._idle.values())) < limit:
            self._evict()

    async def close(self) -> None:
        """Ends the reads under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, self._pages.close(), self._snapshots.close(), return_exceptions=True)

    # Reads

    def read(self, subscriber: Subscriber, action: Action) -> None:
        """Starts what a subscriber asks for, in a task of the hub's: a client that departs must not cancel a query."""
        match action:
            case ReadSnapshot():
                self._spawn(self._read(subscriber, self._read_snapshot))
            case ReadEvents():
                self._spawn(self._read(subscriber, self._read_events))
            case ReadChannel():
                self._spawn(self._read(subscriber, self._read_channel))

    async def _read(self, subscriber: Subscriber, ask: Callable[[Subscriber], Coroutine[Any, Any, None]]) -> None:
        try:
            await ask(subscriber)
        except Unavailable as error:
            if subscriber.state is State.LOADING:
                subscriber.outlet.fail(error)
                return
            # A stream that is being served stays open, and the same read is asked for again.
            await asyncio.sleep(self._limits.load_retry_s)
            subscriber.read_over()
        subscriber.pump()

    async def _read_snapshot(self, subscriber: Subscriber) -> None:
        epoch = self.epoch
        snapshot = await self._snapshots.get(subscriber.channel.user_id)
        if not self._in_force(snapshot.cursor.epoch, epoch):
            subscriber.read_over()
        elif subscriber.state is not State.CLOSED:
            subscriber.snapshot_read(snapshot)

    async def _read_events(self, subscriber: Subscriber) -> None:
        epoch, events = await self._asked(self._store.events_after(subscriber.channel.user_id, subscriber.position))
        if subscriber.state is not State.CLOSED:
            subscriber.events_read(epoch, events)
        self._meter.loaded("events", 1)

    async def _read_channel(self, subscriber: Subscriber) -> None:
        channel = subscriber.channel
        await self._load_page(channel, channel.head)
        subscriber.read_over()
        self._wake(channel)

    async def _load_page(self, channel: Channel, after: int) -> None:
        """What the table says of the events after `after`, and at least the head: unless it is out of date."""
        epoch, forgotten = self.epoch, self._forgotten
        page = await self._pages.get((channel.user_id, after))
        # One that was asked for before all was forgotten may lack what was dropped then, which nobody tells again.
        if forgotten == self._forgotten and self._in_force(page.epoch, epoch):
            channel.load(page)

    def _in_force(self, page_epoch: str, epoch_before: str) -> bool:
        """Whether a page is of the epoch in force. One that nobody knew before is news: a client that was given it
        must not be measured by a log of the epoch before, which would reset it again and again."""
        if page_epoch != self.epoch and self.epoch == epoch_before:
            self.renew(page_epoch)
        return page_epoch == self.epoch

    # Channels

    def _open(self, user_id: str) -> Channel:
        if len(self._channels) >= self._limits.max_channels:
            self._evict()
        channel = self._channels[user_id] = Channel(user_id, self._bounds)
        return channel

    def _evict(self) -> None:
        """The longest idle channel goes."""
        if not self._idle:
            raise Unavailable("this process serves as many users as it can")
        user_id = next(iter(self._idle))
        del self._idle[user_id], self._channels[user_id]

    def _wake(self, channel: Channel) -> None:
        for subscriber in channel.subscribers:
            subscriber.pump()

    def _load_if_wanted(self, channel: Channel) -> None:
        if channel.subscribers and not channel.warm and not channel.loading:
            channel.loading = True
            self._spawn(self._load(channel))

    async def _load(self, channel: Channel) -> None:
        """Until the channel is warm, or nobody waits for it any more."""
        try:
            while channel.subscribers and not channel.warm:
                try:
                    await self._load_page(channel, self._wanted_after(channel))
                except Unavailable as error:
                    self._turn_away(channel, error)
                    await asyncio.sleep(self._limits.load_retry_s)
        finally:
            channel.loading = False
        self._wake(channel)

    def _wanted_after(self, channel: Channel) -> int:
        """The oldest position of the channel's subscribers: what the load should reach back to."""
        known = [subscriber.known for subscriber in channel.subscribers]
        return min((cursor.seq for cursor in known if cursor and cursor.epoch == self.epoch), default=NOTHING_AFTER)

    def _turn_away(self, channel: Channel, error: Unavailable) -> None:
        for subscriber in channel.subscribers:
            if subscriber.state is State.LOADING:
                subscriber.outlet.fail(error)

    async def _fetch_pages(self, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], ChannelPage]:
        self._meter.loaded("channels", len(wanted))
        return await self._asked(self._store.channel_pages(wanted))

    async def _fetch_snapshots(self, user_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        self._meter.loaded("snapshots", len(user_ids))
        return await self._asked(self._store.snapshots(user_ids))

    async def _asked(self, answer: Awaitable[T]) -> T:
        """What the store says. Whatever it fails with, clients are told that it is not there: silence is no answer."""
        try:
            return await answer
        except Unavailable:
            raise
        except Exception as error:
            _log.error("store-failed", exc_info=error)
            raise Unavailable("the store failed") from error

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # In nobody's context: what one user's request sets off serves others too, and must not be logged as its own.
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done, context=Context())

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("hub-task-failed", exc_info=error)


def _in_one(events: Sequence[Event]) -> bytes:
    return events[0].frame if len(events) == 1 else b"".join([event.frame for event in events])
