"""Decides what one client is sent next, the same for every transport: no I/O, no clock.

    state      | while                                              | left when
    -----------|----------------------------------------------------|------------------------------------------------
    LOADING    | the channel is cold, or a snapshot is being read    | both are there                     -> REPLAYING
    REPLAYING  | events up to the head are being handed out          | the head is reached (`live`)       -> LIVE
    LIVE       | events are handed out as they come                  | the log no longer reaches back     -> REPLAYING
               |                                                    | the epoch changed, or a hole       -> LOADING
    CLOSED     | for ever                                           |

The law (I4): after its cursor a client gets every event, in order, once; or `reset` and a snapshot. So the position
moves by exactly one with every event handed out, and whatever does not follow is read again or reset, never skipped.
"""

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from orderstream.core import frames
from orderstream.core.cursor import Cursor, parse_cursor
from orderstream.core.events import Event
from orderstream.core.log import ChannelLog


class State(enum.Enum):
    LOADING = "loading"
    REPLAYING = "replaying"
    LIVE = "live"
    CLOSED = "closed"


class Reset(NamedTuple):
    """The client's cursor is of no use; a snapshot follows."""

    reason: str

    @property
    def frame(self) -> bytes:
        return frames.reset_frame(self.reason)


class SnapshotPart(NamedTuple):
    """Some of the user's orders, each JSON on one line."""

    orders: Sequence[bytes]

    @property
    def frame(self) -> bytes:
        return frames.snapshot_frame(self.orders)


class SnapshotEnd(NamedTuple):
    """The snapshot is whole, and contains everything up to `cursor`."""

    cursor: Cursor
    total: int

    @property
    def frame(self) -> bytes:
        return frames.snapshot_end_frame(self.cursor, self.total)


class Live(NamedTuple):
    """Replay is over at `head`."""

    head: Cursor

    @property
    def frame(self) -> bytes:
        return frames.live_frame(self.head)


Item = Event | Reset | SnapshotPart | SnapshotEnd | Live


class Snapshot(NamedTuple):
    """The user's orders as they were not before `cursor`: all open ones, and those that ended lately."""

    cursor: Cursor
    orders: Sequence[bytes]


class Send(msgspec.Struct, frozen=True, gc=False):
    """Give these to the transport, and ask again, unless they are the `last` for now."""

    items: Sequence[Item]
    last: bool = False


class Wait(NamedTuple):
    """Nothing to do until the log changes or a read answers."""


class ReadChannel(NamedTuple):
    """Load the channel from the table: the client knows more than the log, so the log may be late."""


class ReadSnapshot(NamedTuple):
    """Read the user's orders, then call `snapshot_read`."""


class ReadEvents(NamedTuple):
    """Read the events after `seq` from the table, then call `events_read`."""

    seq: int


class Resumed(NamedTuple):
    """The client's cursor was found good: what follows it is in `memory` or in the `table`. Count it, and ask again."""

    source: str


Action = Send | Wait | Resumed | ReadChannel | ReadSnapshot | ReadEvents

_WAIT = Wait()


class Delivery:
    """One client's way through its channel's log. Ask `advance` until it answers Wait."""

    __slots__ = ("_asked", "_epoch", "_looked_again", "_pending", "_reading", "position", "state")

    def __init__(self, cursor: str | None) -> None:
        """`cursor` as the client sent it; None asks for a snapshot."""
        self._asked = cursor
        self._epoch: str | None = None  # None: no position yet
        self._looked_again = False
        # Empty as a rule, and then one object for all: a deque takes 0.6 KB. At most a page of events, or a snapshot.
        self._pending: Sequence[Item] = ()
        self._reading = False
        self.position = 0
        self.state = State.LOADING

    @property
    def known(self) -> Cursor | None:
        """What the client knows as far as we can tell; None where it needs a snapshot."""
        if self._epoch is not None:
            return Cursor(self._epoch, self.position)
        return parse_cursor(self._asked) if self._asked is not None else None

    def close(self) -> None:
        """Nothing more will be sent."""
        self.state = State.CLOSED
        self._pending = ()

    def advance(self, log: ChannelLog, *, max_bytes: int = 65_536) -> Action:
        """Gives the next thing to do, about `max_bytes` of it."""
        if self.state is State.LIVE and log.warm and self._epoch == log.epoch:
            # As a rule. Nothing is pending, and nothing being read.
            return self._follow(log, max_bytes)
        if self.state is State.CLOSED:
            return _WAIT
        if self._pending:
            return Send(self._take_pending(max_bytes))
        if self._reading or not log.warm:
            return _WAIT
        if self._epoch is None:
            return self._judge(log)
        if self._epoch != log.epoch:
            return self._reset("epoch-changed")
        return self._follow(log, max_bytes)

    def keeps_up(self, log: ChannelLog, seq: int) -> bool:
        """Whether a live client lacks just what follows `seq` in a warm log; then all of it counts as handed out, and
        is to be given to the transport."""
        if self.position != seq or self.state is not State.LIVE or self._epoch != log.epoch:
            return False
        self.position = log.head
        return True

    def snapshot_read(self, snapshot: Snapshot) -> None:
        """The answer to ReadSnapshot."""
        self._reading = False
        orders, size = snapshot.orders, frames.SNAPSHOT_ORDERS
        parts = (SnapshotPart(orders[i : i + size]) for i in range(0, len(orders), size))
        self._pending = (*self._pending, *parts, SnapshotEnd(snapshot.cursor, len(orders)))
        self.state = State.REPLAYING

    def events_read(self, epoch: str, events: Iterable[Event]) -> None:
        """The answer to ReadEvents: what follows `seq` in the table, or nothing where retention took it."""
        self._reading = False
        if epoch != self._epoch:
            self._expect_snapshot("epoch-changed")
            return
        following = list(events)
        expected = range(self.position + 1, self.position + 1 + len(following))
        if not following or any(event.seq != seq for event, seq in zip(following, expected, strict=True)):
            self._expect_snapshot("cursor-expired")
            return
        self._pending = (*self._pending, *following)

    def read_over(self) -> None:
        """The answer to ReadChannel, or a read that failed: `advance` decides anew."""
        self._reading = False

    def _judge(self, log: ChannelLog) -> Action:
        if self._asked is None:
            return self._read(ReadSnapshot())
        cursor = parse_cursor(self._asked)
        if cursor is None:
            return self._reset("cursor-malformed")
        if cursor.epoch != log.epoch:
            return self._reset("epoch-changed")
        if cursor.seq > log.head:
            if self._looked_again:
                return self._reset("cursor-ahead")
            # Another process, whose follower is ahead of ours, may have given it out.
            self._looked_again = True
            return self._read(ReadChannel())
        if cursor.seq < log.oldest - 1:
            return self._reset("cursor-expired")
        # Of the two equal texts, the one that all share.
        self._epoch, self.position, self._asked = log.epoch, cursor.seq, None
        self.state = State.REPLAYING
        return Resumed("memory" if log.holds_after(cursor.seq) else "table")

    def _follow(self, log: ChannelLog, max_bytes: int) -> Action:
        position, head = self.position, log.head
        # A snapshot may be ahead of a log whose follower is late: then there is nothing to say until it came up.
        if position >= head:
            if self.state is State.LIVE:
                return _WAIT
            self.state = State.LIVE
            return Send((Live(Cursor(log.epoch, position)),), True)
        events = log.after(position, max_bytes)
        if not events:
            self.state = State.REPLAYING
            return self._read(ReadEvents(position))
        self.position = events[-1].seq
        return Send(events, self.state is State.LIVE and self.position == head)

    def _take_pending(self, max_bytes: int) -> Sequence[Item]:
        items: list[Item] = []
        for item in self._pending:
            if items and max_bytes <= 0:
                break
            max_bytes -= len(item.frame)
            items.append(item)
            if isinstance(item, Event):
                self.position = item.seq
            elif isinstance(item, SnapshotEnd):
                self._epoch, self.position = item.cursor
        self._pending = self._pending[len(items) :]
        return items

    def _reset(self, reason: str) -> Action:
        self._expect_snapshot(reason)
        return Send(self._take_pending(0))

    def _expect_snapshot(self, reason: str) -> None:
        self._pending = (Reset(reason),)
        self._asked = self._epoch = None
        self.state = State.LOADING

    def _read(self, action: Action) -> Action:
        self._reading = True
        return action
