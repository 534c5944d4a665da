"""FIX messages for tests, written by simplefix: its BodyLength and CheckSum are another's reckoning."""

from collections.abc import Sequence

import simplefix

from orderstream.core.fix.wire import Message, Reader, Unreadable

Fields = Sequence[tuple[int | str, object]]

HEADER: Fields = [(49, "BROKER"), (56, "DESK"), (34, 7), (52, "20260302-14:30:00.125")]


def encoded(fields: Fields, *, version: str = "FIX.4.4", separator: bytes = b"\x01") -> bytes:
    """A whole message; `fields` from MsgType on."""
    message = simplefix.FixMessage()
    message.append_pair(8, version)
    for tag, value in fields:
        message.append_pair(tag, value)
    return bytes(message.encode()).replace(b"\x01", separator)


def report(*fields: tuple[int | str, object], **options: object) -> bytes:
    """An execution report about order C1/O1: 100 AAPL bought; `fields` add to it or take the place of the usual."""
    usual = {35: "8", **dict(HEADER), 37: "O1", 11: "C1", 17: "E1", 150: "0", 39: "0", 55: "AAPL", 54: "1"}
    usual |= {38: "100", 14: "0", 151: "100", 6: "0"}
    return encoded([*(usual | dict(fields)).items()], **options)  # type: ignore[arg-type]


def items(*pieces: bytes) -> list[Message | Unreadable]:
    """What a reader makes of these pieces, to the end."""
    reader = Reader()
    found = [one for piece in pieces for one in reader.feed(piece)]
    return found + list(reader.end())


def messages(text: bytes) -> list[Message]:
    """The same, where all is whole."""
    found = items(text)
    whole = [one for one in found if isinstance(one, Message)]
    assert len(whole) == len(found)
    return whole


def message(text: bytes) -> Message:
    (one,) = messages(text)
    return one
