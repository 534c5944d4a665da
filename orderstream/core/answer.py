"""What a poll is answered with, while it is collected: no I/O, no clock."""

from collections.abc import Sequence

from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Reset, SnapshotEnd, SnapshotPart
from orderstream.core.events import Event


class Answer:
    """New events, at most so many; or a snapshot, which may come after a reset."""

    __slots__ = ("_more", "_most_events", "_orders", "_reset", "events", "is_tag_alone", "snapshot")

    def __init__(self, most_events: int, *, tag_alone: bool = False) -> None:
        """`tag_alone`: its client asks for the cursor, and not for what there is."""
        self.is_tag_alone = tag_alone
        self._most_events = most_events
        self._more = False
        self._orders: Sequence[bytes] = ()
        self._reset: str | None = None
        self.snapshot: Cursor | None = None
        self.events: list[Event] = []

    def add(self, item: Event | Reset | SnapshotPart | SnapshotEnd) -> None:
        """Takes what its delivery hands out next."""
        match item:
            case Event() if len(self.events) < self._most_events:
                self.events.append(item)
            case Event():
                self._more = True
            case Reset(reason):
                self._reset = reason
                self.events = []
            case SnapshotPart(orders):
                self._orders = [*self._orders, *orders]
            case SnapshotEnd(cursor, _):
                self.snapshot = cursor

    @property
    def is_full(self) -> bool:
        """Whether it takes no more."""
        return len(self.events) >= self._most_events or self.snapshot is not None

    @property
    def is_whole(self) -> bool:
        """Whether it may be given as it is: a reset alone is no answer, its snapshot follows."""
        return self.snapshot is not None or bool(self.events and self._reset is None)

    @property
    def outcome(self) -> str:
        """Its name for the metrics."""
        return "reset" if self._reset else "snapshot" if self.snapshot else "events"

    @property
    def cursor(self) -> Cursor:
        """What the client knows after it, once it is whole."""
        if self.snapshot is not None:
            return self.snapshot
        last = self.events[-1]
        return Cursor(last.epoch, last.seq)

    def body(self, head: int) -> bytes:
        """As JSON, once it is whole; `head` is the newest event that there is."""
        cursor = self.cursor
        if self.snapshot is not None:
            reset = b'"reset":"%b",' % self._reset.encode() if self._reset else b""
            orders = b",".join(self._orders)
            return b'{%b"cursor":"%b","orders":[%b],"executions":[]}' % (reset, str(cursor).encode(), orders)
        documents = b",".join([event.document for event in self.events])
        more = b"true" if self._more or cursor.seq < head else b"false"
        return b'{"cursor":"%b","events":[%b],"more":%b}' % (str(cursor).encode(), documents, more)
