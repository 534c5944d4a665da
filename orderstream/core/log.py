"""A channel's log: the newest events of one user, without holes, bounded in number and bytes.

A log is *cold* until it was loaded from the table, and again when an event came that does not follow the one before.
What arrives while it is cold is kept and joined to what the load brings, by `seq`.

    append(event)   cold: keep.   warm: the next one is added, a known one is ignored, any other turns the log cold.
    load(page)      warm if what the page and what is held join without a hole, else still cold: load again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from orderstream.core.cursor import Cursor
from orderstream.core.events import Event


class ChannelPage(NamedTuple):
    """What the table says of one user in one snapshot: `head` the newest number, `oldest` the oldest kept (head + 1
    where none is), `events` a run that ends at `head`, or empty."""

    epoch: str
    head: int
    oldest: int
    events: Sequence[Event]


class LogBounds(NamedTuple):
    """What a log may hold."""

    max_events: int = 256
    max_bytes: int = 262_144


class ChannelLog:
    """`events[i].seq == tail + i`, and the last one is `head`."""

    __slots__ = ("_bounds", "_events", "epoch", "head", "oldest", "size_bytes", "warm")

    def __init__(self, bounds: LogBounds) -> None:
        # Most logs of most users are empty, and then no list takes memory.
        self._events: list[Event] | tuple[()] = ()
        self._bounds = bounds
        self.epoch = ""
        self.head = 0
        self.oldest = 1
        self.size_bytes = 0
        self.warm = False

    @property
    def tail(self) -> int:
        """The oldest number held in memory, `head + 1` where none is."""
        return self.head + 1 - len(self._events)

    @property
    def cursor(self) -> Cursor:
        """The newest event known here."""
        return Cursor(self.epoch, self.head)

    def holds_after(self, seq: int) -> bool:
        """Whether everything after `seq` is in memory."""
        return seq >= self.head - len(self._events)

    def after(self, seq: int, max_bytes: int) -> Sequence[Event]:
        """The events that follow `seq`, at least one and no more than fit `max_bytes`; none where the first of them is
        not in memory. `seq` must be older than the head."""
        if seq == self.head - 1 and self._events:
            # As a rule.
            return (self._events[-1],)
        if not self.holds_after(seq):
            return ()
        run: list[Event] = []
        for event in self._events[seq + 1 - self.tail :]:
            max_bytes -= len(event.frame)
            if run and max_bytes < 0:
                break
            run.append(event)
        return run

    def event(self, cursor: Cursor) -> Event | None:
        """The event of `cursor`, where it is in memory."""
        index = cursor.seq - self.tail
        return self._events[index] if cursor.epoch == self.epoch and 0 <= index < len(self._events) else None

    def append(self, event: Event) -> bool:
        """Takes an event from the follower; says whether it was news."""
        same_epoch, next_seq = event.epoch == self.epoch, self.head + 1
        if same_epoch and event.seq < next_seq and self.warm:
            return False
        if not (same_epoch and event.seq == next_seq):
            # What is held, if anything, does not join it.
            self.chill()
        self._add(event)
        return True

    def load(self, page: ChannelPage) -> bool:
        """Joins what the table says to what is held; False where that leaves a hole or mixes epochs."""
        held = self._events
        if (self.warm or held) and page.epoch != self.epoch:
            return False
        self.oldest = page.oldest
        if self.warm and page.head <= self.head:
            return True
        events = _run_to(page.head, page.events)
        first = events[0].seq if events else page.head + 1
        older = [event for event in held if event.seq < first]
        newer = [event for event in held if event.seq > page.head]
        if newer and newer[0].seq != page.head + 1:
            return False
        if older and older[-1].seq != first - 1:
            older = []
        self.chill()
        self.epoch, self.head, self.warm = page.epoch, page.head, True
        for event in (*older, *events, *newer):
            self._add(event)
        return True

    def chill(self) -> None:
        """Forgets everything: what is held no longer joins the table, or the epoch changed."""
        self._events = ()
        self.size_bytes = 0
        self.warm = False

    def _add(self, event: Event) -> None:
        events = self._events
        if events:
            events.append(event)
        else:
            self._events = events = [event]
        self.epoch = event.epoch
        self.head = event.seq
        self.size_bytes = size_bytes = self.size_bytes + len(event.frame)
        if size_bytes > self._bounds.max_bytes or len(events) > self._bounds.max_events:
            self._trim()

    def _trim(self) -> None:
        # A quarter at a time, so that a busy channel does not shift its list for every event. The newest always stays.
        keep_events, keep_bytes = (most * 3 // 4 for most in self._bounds)
        gone = 0
        while gone < len(self._events) - 1 and (len(self._events) - gone > keep_events or self.size_bytes > keep_bytes):
            self.size_bytes -= len(self._events[gone].frame)
            gone += 1
        self._events = list(self._events[gone:])


def _run_to(head: int, events: Sequence[Event]) -> Sequence[Event]:
    """The longest part of `events` that ends at `head` without a hole."""
    start = len(events)
    while start and events[start - 1].seq == head - (len(events) - start):
        start -= 1
    return events[start:]
