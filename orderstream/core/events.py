"""An event: one numbered fact about a user's orders, as the sequencer gave it and as it goes out."""

from collections.abc import Iterator, Sequence

import msgspec

from orderstream.core.frames import event_frame, frame_body

# Published at once: a few milliseconds of the loop's time.
TURN_EVENTS = 250


class SequencedEvent(msgspec.Struct, frozen=True, gc=False):
    """A row of `orderstream.events`; `written_at` in seconds since 1970 on the database's clock."""

    position: int
    user_id: str
    epoch: str
    seq: int
    name: str  # order | execution | order-removed
    body: str
    written_at: float


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event encoded once (I7): the frame holds the JSON, so every transport sends the same bytes.

    Millions may be held, none of which refers to anything but texts: the garbage collector need not look at them.
    """

    epoch: str
    seq: int
    name: str
    frame: bytes
    written_at: float

    @property
    def body(self) -> bytes:
        """The event's data: JSON on one line."""
        return frame_body(self.frame)

    @property
    def document(self) -> bytes:
        """The event as an element of a long-poll's `events`: `{id, event, data}`."""
        return b'{"id":"%s.%d","event":"%s","data":%b}' % (
            self.epoch.encode(),
            self.seq,
            self.name.encode(),
            self.body,
        )


def encoded(row: SequencedEvent) -> Event:
    """The event that a row is."""
    epoch, seq, name = row.epoch, row.seq, row.name
    return Event(epoch, seq, name, event_frame(epoch, seq, name, row.body), row.written_at)


def turns(events: Sequence[SequencedEvent]) -> Iterator[Sequence[SequencedEvent]]:
    """The same, so many at a time as are published at once: whoever has many lets others have their turn in between."""
    return (events[at : at + TURN_EVENTS] for at in range(0, len(events), TURN_EVENTS))
