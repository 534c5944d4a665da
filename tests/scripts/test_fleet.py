"""What the clients of scripts/bench and scripts/load make of an answer, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.fleet.connection import Target
from scripts.fleet.polls import OrderPoll
from scripts.fleet.streams import CrlfStream, OrderStream
from scripts.fleet.tally import Ages, Tally

TARGET = Target("http://127.0.0.1:1")
WRITTEN_S = 1_764_196_207.5
WRITTEN = b"2025-11-26T22:30:07.500000Z"
BEGINNING = (
    b'retry: 1000\n\nid: 0a1b2c3d.4\nevent: snapshot-end\ndata: {}\n\nevent: live\ndata: {"head":"0a1b2c3d.4"}\n\n'
)


def order(seq: int) -> bytes:
    return b'id: 0a1b2c3d.%d\nevent: order\ndata: {"order":{},"written_at":"%b"}\n\n' % (seq, WRITTEN)


def read(*parts: bytes, offset_s: float = 0.0) -> tuple[OrderStream, Tally]:
    """A stream that got these parts, two seconds after all of it was written."""
    tally = Tally("sse")
    stream = OrderStream(TARGET, 0, "ann", b"", tally, offset_s)
    for part in parts:
        stream.body(part, WRITTEN_S + 2)
    return stream, tally


def test_events_one_after_the_other_are_no_loss() -> None:
    """Counted from the snapshot's number on, with their age."""
    stream, tally = read(BEGINNING, order(5), order(6))
    assert (tally.events, tally.lost, tally.repeated, stream.cursor) == (2, 0, 0, b"0a1b2c3d.6")
    assert tally.ages.quantile(0.5) == pytest.approx(2.0, rel=0.01)


def test_hole_is_lost_events() -> None:
    """As many as there are numbers in it."""
    _, tally = read(BEGINNING, order(5), order(9))
    assert (tally.events, tally.lost) == (2, 3)


def test_event_that_comes_twice_is_repeated() -> None:
    """And is no event."""
    _, tally = read(BEGINNING, order(5), order(5))
    assert (tally.events, tally.repeated) == (1, 1)


def test_database_clock_that_is_ahead_is_allowed_for() -> None:
    """Its events look younger than they are by so much."""
    _, tally = read(BEGINNING, order(5), offset_s=0.5)
    assert tally.ages.quantile(1.0) == pytest.approx(2.5, rel=0.01)


@given(st.lists(st.integers(1, 400)))
def test_stream_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    """The network's slices are nothing to it."""
    whole = BEGINNING + b"".join(order(seq) for seq in range(5, 9))
    parts, at = [], 0
    for cut in cuts:
        parts.append(whole[at : at + cut])
        at += cut
    stream, tally = read(*parts, whole[at:])
    assert (stream.last, tally.events, tally.lost, tally.live) == (8, 4, 0, 1)


def test_goaway_is_no_error() -> None:
    """The service's own word, unlike a connection that breaks off."""
    stream, tally = read(BEGINNING, b'event: goaway\ndata: {"reason":"drain","reconnect":true}\n\n')
    stream.ended("closed")
    assert (tally.errors, tally.goaways) == (0, {"drain": 1})
    stream.request()
    stream.ended("closed")
    assert tally.errors == 1


def test_stream_comes_back_with_what_it_knows() -> None:
    """By Last-Event-ID."""
    stream, _ = read(BEGINNING, order(5))
    assert b"\r\nLast-Event-ID: 0a1b2c3d.5\r\n\r\n" in b"\r\n" + stream.request()


@pytest.mark.parametrize("seq", [5, 6], ids=["one-that-the-tag-counts", "one-between-two-answers"])
def test_poll_sees_an_event_that_is_missing(seq: int) -> None:
    """By the tags of this answer and of the one before."""
    tally = Tally("poll")
    poll = OrderPoll(TARGET, 0, "ann", b"", tally, cursor=b"0a1b2c3d.4")
    poll.answered(200, b'HTTP/1.1 200 OK\r\nETag: W/"0a1b2c3d.6"\r\n\r\n')
    poll.read(b'{"cursor":"0a1b2c3d.6","events":[{"id":"0a1b2c3d.%d","event":"order"}],"more":false}' % seq, 0.0)
    assert (tally.events, tally.lost) == (1, 1)


def test_pings_of_others_are_no_events() -> None:
    """Only what has data is."""
    tally = Tally("sse")
    CrlfStream(TARGET, 0, "ann", b"", tally).body(b": ping\r\n\r\ndata: {}\r\n\r\n", 0.0)
    assert tally.events == 1


@given(st.integers(1, 60))
def test_chunks_are_taken_off_however_they_are_cut(cut: int) -> None:
    """RFC 9112 section 7.1."""
    connection = CrlfStream(TARGET, 0, "ann", b"", Tally("sse"))
    raw = b"5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n"
    taken = [connection._unchunked(raw[at : at + cut]) for at in range(0, len(raw), cut)]
    assert b"".join(part for part, _ in taken) == b"hello, world"
    assert any(is_last for _, is_last in taken)


@given(st.lists(st.floats(1e-5, 100.0), min_size=1))
def test_quantile_is_within_a_percent(ages_s: list[float]) -> None:
    """Of the age that it stands for."""
    ages = Ages()
    for age_s in ages_s:
        ages.add(age_s)
    ages_s.sort()
    assert ages.quantile(0.5) == pytest.approx(ages_s[(len(ages_s) - 1) // 2], rel=0.011)
    assert ages.quantile(1.0) == ages_s[-1]
