"""What is written on the wire of an event stream (WHATWG HTML 9.2.5 "Parsing an event stream").

Every frame is one event: an optional `id` line, an `event` line, one `data` line of JSON, a blank line. JSON text has
no raw CR or LF, and cursors and names are ours, so nothing that a user wrote can end a line.
"""

from collections.abc import Sequence

import msgspec

from orderstream.core.cursor import Cursor

# Longest part of a snapshot, so that one frame of it stays near 32 KB.
SNAPSHOT_ORDERS = 50

_DATA = b"\ndata: "

_encode = msgspec.json.encode


def event_frame(epoch: str, seq: int, name: str, body: str) -> bytes:
    """A numbered event; only these and `snapshot-end` move a client's cursor."""
    # One text, encoded once: half the time of bytes that are put together.
    return f"id: {epoch}.{seq}\nevent: {name}\ndata: {body}\n\n".encode()


def frame_body(frame: bytes) -> bytes:
    """What `event_frame` was given as `body`."""
    # The first of its kind: neither a cursor nor a name of ours holds it.
    return frame[frame.index(_DATA) + len(_DATA) : -2]


def control_frame(name: str, body: bytes) -> bytes:
    """An event without `id`: it must not move the browser's Last-Event-ID past real events."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


def retry_frame(retry_ms: int) -> bytes:
    """How long an EventSource waits before it reconnects."""
    return b"retry: %d\n\n" % retry_ms


def snapshot_frame(orders: Sequence[bytes]) -> bytes:
    """A part of the user's orders; the snapshot is whole only with `snapshot-end`."""
    return control_frame("snapshot", b'{"orders":[' + b",".join(orders) + b"]}")


def snapshot_end_frame(cursor: Cursor, total: int) -> bytes:
    """The snapshot is whole, and the client's cursor may move to it."""
    return event_frame(*cursor, "snapshot-end", f'{{"cursor":"{cursor}","orders":{total}}}')


def reset_frame(reason: str) -> bytes:
    """The cursor cannot be continued from; a snapshot follows."""
    return control_frame("reset", _encode({"reason": reason}))


def live_frame(head: Cursor) -> bytes:
    """Replay is over."""
    return control_frame("live", b'{"head":"%b"}' % str(head).encode())


def heartbeat_frame(head: Cursor, at: bytes) -> bytes:
    """How far we know, at `at` (RFC 3339, UTC): a client that knows less than `head` missed something."""
    return b'event: heartbeat\ndata: {"head":"%b.%d","at":"%b"}\n\n' % (head.epoch.encode(), head.seq, at)


def auth_expiring_frame(expires_in_s: int) -> bytes:
    """The credential ends in so many seconds, and the stream with it."""
    return control_frame("auth-expiring", b'{"expires_in_s":%d}' % expires_in_s)


def goaway_frame(reason: str, *, reconnect: bool, after_ms: int) -> bytes:
    """The stream ends after this; whether to come back, and when."""
    return control_frame("goaway", _encode({"reason": reason, "reconnect": reconnect, "after_ms": after_ms}))
