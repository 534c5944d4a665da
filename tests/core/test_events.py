"""An event, encoded once: every transport takes its bytes from the same frame."""

import json

from orderstream.core.events import SequencedEvent, encoded

BODY = '{"order":{"reason":"📉 \\n"},"exec_type":"new"}'
EVENT = encoded(SequencedEvent(9, "ann", "0a0a0a0a", 3, "order", BODY, 1.5))


def test_body_is_the_very_text_of_the_table() -> None:
    """Bytes, not characters, are counted."""
    assert EVENT.body == BODY.encode()


def test_frame_is_what_a_stream_sends() -> None:
    """Id, name, data."""
    assert EVENT.frame == f"id: 0a0a0a0a.3\nevent: order\ndata: {BODY}\n\n".encode()


def test_document_is_what_a_poll_sends() -> None:
    """The same body within `{id, event, data}`."""
    assert json.loads(EVENT.document) == {"id": "0a0a0a0a.3", "event": "order", "data": json.loads(BODY)}
    assert EVENT.body in EVENT.document
