"""Frames, read back by the letter of WHATWG HTML 9.2.6."""

import json

import pytest

from orderstream.core import frames
from orderstream.core.cursor import Cursor

HEAD = Cursor("0a0a0a0a", 7)


def read(frame: bytes) -> dict[str, str]:
    """The fields of the one event in a frame."""
    assert frame.endswith(b"\n\n")
    assert frame.count(b"\n\n") == 1
    return dict(line.split(": ", 1) for line in frame.decode()[:-2].split("\n"))


@pytest.mark.parametrize(
    ("frame", "name", "body"),
    [
        (frames.snapshot_frame([b'{"a":1}', b"{}"]), "snapshot", {"orders": [{"a": 1}, {}]}),
        (frames.snapshot_frame([]), "snapshot", {"orders": []}),
        (frames.reset_frame("epoch-changed"), "reset", {"reason": "epoch-changed"}),
        (frames.live_frame(HEAD), "live", {"head": "0a0a0a0a.7"}),
        (frames.heartbeat_frame(HEAD, b"2026-01-02T03:04:05.000000Z"), "heartbeat",
         {"head": "0a0a0a0a.7", "at": "2026-01-02T03:04:05.000000Z"}),
        (frames.goaway_frame("drain", reconnect=True, after_ms=5), "goaway",
         {"reason": "drain", "reconnect": True, "after_ms": 5}),
    ],
)  # fmt: skip
def test_control_frame_has_no_id(frame: bytes, name: str, body: object) -> None:
    """It must not move a browser's Last-Event-ID past real events."""
    fields = read(frame)
    assert fields.keys() == {"event", "data"}
    assert (fields["event"], json.loads(fields["data"])) == (name, body)


def test_event_frame_has_its_cursor_as_id() -> None:
    """One `data` line, the JSON as it came."""
    frame = frames.event_frame(*HEAD, "order", '{"reason":"a\\nb"}')
    assert read(frame) == {"id": "0a0a0a0a.7", "event": "order", "data": '{"reason":"a\\nb"}'}


def test_snapshot_end_moves_the_cursor() -> None:
    """Only now is the snapshot whole."""
    fields = read(frames.snapshot_end_frame(HEAD, 3))
    assert (fields["id"], fields["event"]) == ("0a0a0a0a.7", "snapshot-end")
    assert json.loads(fields["data"]) == {"cursor": "0a0a0a0a.7", "orders": 3}


def test_retry_frame_is_milliseconds_alone() -> None:
    """An EventSource ignores anything but digits."""
    assert read(frames.retry_frame(1500)) == {"retry": "1500"}
