"""The channel's log: a run without holes, bounded, joined to the table by `seq`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.cursor import Cursor
from orderstream.core.events import Event, SequencedEvent, encoded
from orderstream.core.log import ChannelLog, ChannelPage, LogBounds

EPOCH, OTHER = "0a0a0a0a", "0b0b0b0b"


def event(seq: int, epoch: str = EPOCH, body: str = "{}") -> Event:
    return encoded(SequencedEvent(seq, "ann", epoch, seq, "order", body, 0.0))


def page(head: int, *seqs: int, oldest: int = 1, epoch: str = EPOCH) -> ChannelPage:
    return ChannelPage(epoch, head, oldest, [event(seq, epoch) for seq in seqs])


def held(log: ChannelLog) -> list[int]:
    return [one.seq for one in log.after(log.tail - 1, 10**9)] if log.tail <= log.head else []


def test_event_is_found_by_its_cursor_while_it_is_held() -> None:
    """Warm or cold; not before the tail, after the head or of another epoch."""
    log = ChannelLog(LogBounds())
    assert log.event(Cursor(EPOCH, 0)) is None
    log.append(event(7))
    log.append(event(8))
    found = [log.event(Cursor(EPOCH, seq)) for seq in (0, 6, 7, 8, 9)]
    assert [one and one.seq for one in found] == [None, None, 7, 8, None]
    assert log.event(Cursor(OTHER, 7)) is None


def test_warm_log_takes_the_next_and_ignores_the_known() -> None:
    """Hand-over and notification may both bring it."""
    log = ChannelLog(LogBounds())
    log.load(page(3, 2, 3))
    assert [log.append(event(seq)) for seq in (3, 4, 4, 5)] == [False, True, False, True]
    assert held(log) == [2, 3, 4, 5]


@pytest.mark.parametrize("stranger", [event(6), event(4, OTHER)])
def test_event_that_does_not_follow_turns_it_cold(stranger: Event) -> None:
    """A hole, or another epoch: the table must be asked."""
    log = ChannelLog(LogBounds())
    log.load(page(3, 3))
    assert log.append(stranger)
    assert not log.warm
    assert held(log) == [stranger.seq]


@pytest.mark.parametrize(
    ("early", "loaded", "joined"),
    [
        ([], page(2, 1, 2), [1, 2]),
        ([3, 4], page(2, 1, 2), [1, 2, 3, 4]),
        ([2, 3], page(2, 1, 2), [1, 2, 3]),
        ([1, 2], page(3, 2, 3), [1, 2, 3]),
        ([1], page(3, 3), [3]),
        ([4], page(2, 1, 2), None),
        ([3], page(2, 1, 2, epoch=OTHER), None),
    ],
)
def test_load_joins_what_came_meanwhile(early: list[int], loaded: ChannelPage, joined: list[int] | None) -> None:
    """By number; a hole or another epoch means: load again."""
    log = ChannelLog(LogBounds())
    for seq in early:
        log.append(event(seq))
    assert log.load(loaded) is (joined is not None)
    assert log.warm is (joined is not None)
    assert joined is None or held(log) == joined


def test_late_page_does_not_set_a_warm_log_back() -> None:
    """Its reader was slower than the follower."""
    log = ChannelLog(LogBounds())
    log.load(page(5, 4, 5))
    assert log.load(page(4, 4))
    assert (log.head, held(log)) == (5, [4, 5])


@pytest.mark.parametrize(("limits", "kept"), [({"max_events": 8}, 8), ({"max_bytes": 400}, 8)])
def test_log_is_bounded_in_number_and_bytes(limits: dict[str, int], kept: int) -> None:
    """The oldest go; the newest and its number stay."""
    log = ChannelLog(LogBounds(**limits))
    log.load(page(0))
    for seq in range(1, 101):
        log.append(event(seq))
    assert log.head == 100
    assert 0 < len(held(log)) <= kept + 2
    assert held(log) == list(range(log.tail, 101))


def test_event_larger_than_the_log_is_still_held() -> None:
    """It is the news."""
    log = ChannelLog(LogBounds(max_bytes=100))
    log.load(page(0))
    log.append(event(1))
    log.append(event(2, body='"' + "x" * 1000 + '"'))
    assert held(log) == [2]


def test_after_gives_one_event_at_least_and_about_as_much_as_asked() -> None:
    """A write has a size, and an event is never halved."""
    log = ChannelLog(LogBounds())
    log.load(page(9, *range(1, 10)))
    assert [one.seq for one in log.after(4, 0)] == [5]
    assert [one.seq for one in log.after(4, 3 * len(event(5).frame))] == [5, 6, 7]
    assert log.after(9, 100) == []


@given(st.lists(st.tuples(st.sampled_from(["append", "load", "chill"]), st.integers(1, 12), st.integers(0, 6))))
def test_held_events_are_always_a_run_to_the_head(moves: list[tuple[str, int, int]]) -> None:
    """Whatever comes, in whatever order: no hole, and never over the limit."""
    log = ChannelLog(LogBounds(max_events=6))
    for move, seq, length in moves:
        match move:
            case "append":
                log.append(event(seq))
            case "load":
                log.load(page(seq, *range(max(1, seq + 1 - length), seq + 1)))
            case _:
                log.chill()
        assert held(log) == list(range(log.tail, log.head + 1))
        assert len(held(log)) <= 6
