"""What a connection says, turned into what the feed tells and what the connection machine must know.

Pure. Both readers are generators, so that what came before a hole or a malformed event is still told; they
raise `book.Hole` and `wire.Malformed`.
"""

from collections.abc import Callable, Iterator

import msgspec

from orderstream.client import wire
from orderstream.client.book import Book, Hole
from orderstream.client.events import Event, Order, Transport
from orderstream.client.happenings import (
    Behind,
    CaughtUp,
    Dismissed,
    Expiring,
    Happening,
    PollAnswered,
    Refused,
    StreamLeft,
    StreamLive,
    StreamProved,
)
from orderstream.client.sse import Frame

# Ten times what a poll's answer may hold; nobody has as many orders open.
SNAPSHOT_ORDERS = 100_000


class Polled(msgspec.Struct, frozen=True):
    """The body of a poll's 200; `held` tells whether the server waited before it answered."""

    body: bytes
    held: bool


CameLive = Callable[[wire.Cursor], None]


def _unheard(_: wire.Cursor) -> None:
    pass


class StreamReader:
    """One stream's reader: a snapshot that the connection did not finish is gone with it.

    `came_live` is called with the cursor of each event that was applied and was no part of a replay."""

    def __init__(self, book: Book, *, renewable: bool, came_live: CameLive = _unheard) -> None:
        self._book = book
        self._renewable = renewable
        self._came_live = came_live
        self._replaying = True
        self._parts: list[Order] = []
        self._reset: str | None = None
        self._head: wire.Cursor | None = None
        self._replayed = False
        self._live = False

    def read(self, frame: Frame) -> Iterator[Event | Happening]:
        match frame.name:
            case "snapshot":
                self._collect(wire.decode(frame.payload, wire.SnapshotPart))
            case "snapshot-end":
                yield from self._finish(wire.decode(frame.payload, wire.SnapshotEnd))
            case "reset":
                self._reset = wire.decode(frame.payload, wire.Reset).reason
                self._parts.clear()
                self._replaying = True
            case "live":
                self._replayed = True
                self._replaying = False
                yield from self._compare(frame.payload)
            case "heartbeat":
                yield from self._compare(frame.payload)
                if self._live:
                    yield StreamProved()
            case "auth-expiring":
                yield Expiring()
            case "goaway":
                yield self._leave(wire.decode(frame.payload, wire.Goaway))
            case _:
                yield from self._numbered(frame)

    def _collect(self, part: wire.SnapshotPart) -> None:
        self._parts += map(wire.order, part.orders)
        if len(self._parts) > SNAPSHOT_ORDERS:
            raise wire.Malformed(f"a snapshot of more than {SNAPSHOT_ORDERS} orders")

    def _finish(self, end: wire.SnapshotEnd) -> Iterator[Event | Happening]:
        if end.orders != len(self._parts):
            raise wire.Malformed(f"a snapshot of {end.orders} orders came with {len(self._parts)}")
        cursor = wire.cursor(end.cursor)
        taken = self._book.snapshot(self._parts, cursor, Transport.SSE, self._reset)
        self._parts, self._reset = [], None
        if taken is not None:
            yield taken
        yield from self._progress()

    def _numbered(self, frame: Frame) -> Iterator[Event | Happening]:
        if frame.id is None and frame.name not in ("order", "execution", "order-removed"):
            return
        known = self._book.cursor
        event = self._book.apply(frame.name, frame.id, frame.payload, Transport.SSE)
        if not self._replaying and self._book.cursor is not None and self._book.cursor != known:
            self._came_live(self._book.cursor)
        if event is not None:
            yield event
        yield from self._progress()

    def _compare(self, payload: str) -> Iterator[Happening]:
        head = wire.cursor(wire.decode(payload, wire.Head).head)
        if self._book.cursor is None:
            # A snapshot is on its way; its end will tell whether it reaches so far.
            self._head = head
        elif self._book.cursor.is_behind(head):
            if self._head is None:
                yield Behind()
            self._head = head
        yield from self._progress()

    def _progress(self) -> Iterator[Happening]:
        known = self._book.cursor
        if known is None or (self._head is not None and known.is_behind(self._head)):
            return
        if self._head is not None:
            self._head = None
            yield CaughtUp()
        if self._replayed and not self._live:
            self._live = True
            yield StreamLive()

    def _leave(self, goaway: wire.Goaway) -> Happening:
        after_s = max(0.0, goaway.after_ms / 1000)
        if not goaway.reconnect:
            return Dismissed(goaway.reason)
        if goaway.reason == "auth-expired":
            return Refused(self._renewable, goaway.reason, after_s)
        return StreamLeft(goaway.reason, after_s)


class PollReader:
    """The reader of polls that follow each other without a loss: what is new since a whole answer came live.

    `came_live` is called with the cursor of the newest of those, once it was applied."""

    def __init__(self, book: Book, *, came_live: CameLive = _unheard) -> None:
        self._book = book
        self._came_live = came_live
        self._replaying = True

    def caught_up(self) -> None:
        """A poll was answered that nothing is new."""
        self._replaying = False

    def read(self, polled: Polled) -> Iterator[Event | Happening]:
        """Ends with PollAnswered; `held` there is also true for an answer that told something."""
        answer = wire.decode(polled.body, wire.PollAnswer)
        cursor = wire.cursor(answer.cursor)
        told = answer.more
        for event in self._answered(answer, cursor):
            told = True
            yield event
        if not answer.more and (self._book.cursor is None or self._book.cursor.is_behind(cursor)):
            raise Hole
        self._replaying = answer.more
        yield PollAnswered(held=told or polled.held)

    def _answered(self, answer: wire.PollAnswer, cursor: wire.Cursor) -> Iterator[Event]:
        book, newest = self._book, answer.events[-1] if answer.events else None
        if answer.orders is not None:
            taken = book.snapshot(map(wire.order, answer.orders), cursor, Transport.LONG_POLL, answer.reset)
            if taken is not None:
                yield taken
        for polled in answer.events or ():
            known = book.cursor
            event = book.apply(polled.name, polled.id, polled.payload, Transport.LONG_POLL)
            if polled is newest and not self._replaying and book.cursor is not None and book.cursor != known:
                self._came_live(book.cursor)
            if event is not None:
                yield event
