"""The JSON of the protocol, decoded: one type for each payload, and the cursor.

Fields that are not named here are skipped, and so are events: what a later server adds must not break an
installed client. A row whose other fields cannot be read keeps its id, status and version.
"""

import re
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from orderstream.client.events import Check, Execution, Order

_CURSOR = re.compile(r"([0-9a-f]{8})\.(0|[1-9][0-9]{0,18})")
_Payload = TypeVar("_Payload")


class Malformed(ValueError):
    """Something that the protocol promised differently; the line says what."""


class Cursor(msgspec.Struct, frozen=True):
    """A place in the numbered events of one user. Sent back as it came; read only to notice a hole."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"

    def is_behind(self, head: "Cursor") -> bool:
        """Whether `head` knows of events after this one; another epoch always does."""
        return self.epoch != head.epoch or self.seq < head.seq

    def precedes(self, other: "Cursor") -> bool:
        """Whether `other` is the very next event."""
        return self.epoch == other.epoch and self.seq + 1 == other.seq


_NOTHING = msgspec.Raw(b"null")


class SnapshotPart(msgspec.Struct):
    orders: list[msgspec.Raw]


class SnapshotEnd(msgspec.Struct):
    cursor: str
    orders: int


class OrderChange(msgspec.Struct):
    order: msgspec.Raw
    exec_type: str | None = None
    previous_status: str | None = None
    written_at: datetime | None = None
    check: msgspec.Raw = _NOTHING


class ExecutionReport(msgspec.Struct):
    execution: msgspec.Raw
    written_at: datetime | None = None
    check: msgspec.Raw = _NOTHING


class Removal(msgspec.Struct):
    order_id: str


class Head(msgspec.Struct):
    head: str


class Reset(msgspec.Struct):
    reason: str = "unspecified"


class Goaway(msgspec.Struct):
    reason: str = "unspecified"
    reconnect: bool = True
    after_ms: float = 0.0


class PolledEvent(msgspec.Struct, rename={"payload": "data", "name": "event"}):
    name: str
    payload: msgspec.Raw
    id: str | None = None


class PollAnswer(msgspec.Struct):
    """The three answers in one: a snapshot has `orders`, a reset `reset` too, what is new has `events`."""

    cursor: str
    orders: list[msgspec.Raw] | None = None
    events: list[PolledEvent] | None = None
    reset: str | None = None
    more: bool = False


def decode(payload: bytes | str | msgspec.Raw, kind: type[_Payload]) -> _Payload:
    """Raises Malformed."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{kind.__name__}: {error}") from None


def cursor(text: str | None) -> Cursor:
    """Raises Malformed; an event that must have an id and has none is that too."""
    match = _CURSOR.fullmatch(text or "")
    if match is None:
        raise Malformed("not a cursor")
    return Cursor(match[1], int(match[2]))


def order(row: msgspec.Raw) -> Order:
    """Raises Malformed where not even id and status can be read."""
    try:
        return decode(row, Order)
    except Malformed:
        return _essentials(row, Order, id=str, status=str, version=int)


def execution(row: msgspec.Raw) -> Execution:
    """Raises Malformed where not even the id can be read."""
    try:
        return decode(row, Execution)
    except Malformed:
        return _essentials(row, Execution, id=str, order_id=str)


def check(row: msgspec.Raw) -> Check | None:
    """None where there is none, or it is something else than we know: the change is told all the same."""
    try:
        return decode(row, Check)
    except Malformed:
        return None


def _essentials(row: msgspec.Raw, kind: type[_Payload], **kept: type) -> _Payload:
    fields = decode(row, dict[str, Any])
    readable = {name: fields[name] for name, of in kept.items() if type(fields.get(name)) is of}
    try:
        return msgspec.convert(readable, kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"{kind.__name__}: {error}") from None
