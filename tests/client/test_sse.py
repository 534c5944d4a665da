"""The parser, clause by clause (WHATWG HTML 9.2.5 and 9.2.6)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.client.sse import Frame, FrameTooLarge, Parser


def parse(*chunks: bytes) -> list[Frame]:
    parser = Parser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)]


CLAUSES = {
    "an event of one line": (b"data: a\n\n", [Frame("message", "a")]),
    "data on several lines is joined by line feeds": (b"data: a\ndata: b\n\n", [Frame("message", "a\nb")]),
    "a name": (b"event: order\ndata: a\n\n", [Frame("order", "a")]),
    "the last name wins": (b"event: x\nevent: order\ndata: a\n\n", [Frame("order", "a")]),
    "an id": (b"id: 7\ndata: a\n\n", [Frame("message", "a", "7")]),
    "an id is not inherited by the frame": (
        b"id: 7\ndata: a\n\ndata: b\n\n",
        [Frame("message", "a", "7"), Frame("message", "b")],
    ),
    "an id with NUL is ignored": (b"id: 7\0\ndata: a\n\n", [Frame("message", "a")]),
    "one space after the colon is removed": (b"data:  a\n\n", [Frame("message", " a")]),
    "no space after the colon is fine": (b"data:a\n\n", [Frame("message", "a")]),
    "a colon in the value is kept": (b"data: a:b\n\n", [Frame("message", "a:b")]),
    "a comment is ignored": (b": hello\ndata: a\n\n", [Frame("message", "a")]),
    "an unknown field is ignored": (b"colour: red\ndata: a\n\n", [Frame("message", "a")]),
    "field names are case-sensitive": (b"Data: a\n\n", []),
    "no data is not dispatched": (b"event: order\nid: 7\n\n", []),
    "its name is not left to the next": (b"event: order\n\ndata: a\n\n", [Frame("message", "a")]),
    "data without a colon is an empty line of data": (b"data\ndata\n\n", [Frame("message", "\n")]),
    "an unfinished event is not dispatched": (b"data: a\n", []),
    "CR ends a line": (b"data: a\r\r", [Frame("message", "a")]),
    "CRLF ends one line": (b"data: a\r\n\r\n", [Frame("message", "a")]),
    "line ends may be mixed": (b"data: a\rdata: b\r\n\n", [Frame("message", "a\nb")]),
    "a byte order mark is stripped": (b"\xef\xbb\xbfdata: a\n\n", [Frame("message", "a")]),
    "only one is": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    "bytes that are no UTF-8 are replaced": (b"data: \xff\n\n", [Frame("message", "\ufffd")]),
}


@pytest.mark.parametrize(("stream", "frames"), CLAUSES.values(), ids=CLAUSES.keys())
def test_a_stream_is_parsed_as_the_clause_says(stream: bytes, frames: list[Frame]) -> None:
    """Each case's name is the rule it holds."""
    assert parse(stream) == frames


@pytest.mark.parametrize(("stream", "frames"), CLAUSES.values(), ids=CLAUSES.keys())
def test_a_stream_parses_the_same_when_it_comes_byte_by_byte(stream: bytes, frames: list[Frame]) -> None:
    """Line ends, marks and characters may be split anywhere."""
    assert parse(*(bytes([byte]) for byte in stream)) == frames


PIECES = [b"\r", b"\n", b"\r\n", b":", b" ", b"data", b"event", b"id", b"x", b"\0", "é€".encode(), b"\xef\xbb\xbf"]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.lists(st.integers(0, 120)))
def test_slicing_never_changes_what_is_parsed(stream: bytes, cuts: list[int]) -> None:
    """The network decides where the slices are, the stream alone what is in it."""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    slices = [stream[a:b] for a, b in pairwise(places)]
    assert parse(*slices) == parse(stream)


@pytest.mark.parametrize(
    ("stream", "retry_s"), [(b"retry: 2500\n", 2.5), (b"retry: 2.5\n", None), (b"retry: -1\n", None)]
)
def test_retry_is_taken_when_it_is_ascii_digits_only(stream: bytes, retry_s: float | None) -> None:
    """Milliseconds on the wire, seconds here."""
    parser = Parser()
    parser.feed(stream)
    assert parser.retry_s == retry_s


def test_the_last_event_id_stays_when_later_events_have_none() -> None:
    """It is what a reconnecting EventSource would send."""
    parser = Parser()
    parser.feed(b"id: 7\ndata: a\n\ndata: b\n\n")
    assert parser.last_event_id == "7"


@pytest.mark.parametrize("chunk", [b"data: " + b"a" * 100, b"data: a\n" * 20], ids=["one line", "many lines"])
def test_an_event_above_the_limit_is_refused_before_it_is_whole(chunk: bytes) -> None:
    """A stream that never ends an event must not fill memory."""
    with pytest.raises(FrameTooLarge):
        Parser(limit_bytes=99).feed(chunk)
