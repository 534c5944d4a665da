"""An event: one numbered fact about a user's orders, as the sequencer gave it and as it goes out."""

from typing import NamedTuple

from orderstream.core.cursor import Cursor
from orderstream.core.frames import event_frame


class SequencedEvent(NamedTuple):
    """A row of `orderstream.events`; `written_at` in seconds since 1970 on the database's clock."""

    position: int
    user_id: str
    epoch: str
    seq: int
    name: str  # order | execution | order-removed
    body: str
    written_at: float


class Event:
    """An event encoded once (I7): the frame holds the JSON, so every transport sends the same bytes."""

    __slots__ = ("_body_from", "epoch", "frame", "name", "seq", "written_at")

    def __init__(self, row: SequencedEvent) -> None:
        body = row.body.encode()
        self.epoch = row.epoch
        self.seq = row.seq
        self.name = row.name
        self.written_at = row.written_at
        self.frame = event_frame(Cursor(row.epoch, row.seq), row.name, body)
        self._body_from = len(self.frame) - 2 - len(body)

    @property
    def body(self) -> bytes:
        """The event's data: JSON on one line."""
        return self.frame[self._body_from : -2]

    @property
    def document(self) -> bytes:
        """The event as an element of a long-poll's `events`: `{id, event, data}`."""
        return b'{"id":"%s.%d","event":"%s","data":%b}' % (
            self.epoch.encode(),
            self.seq,
            self.name.encode(),
            self.body,
        )
