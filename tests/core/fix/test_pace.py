"""When a message is due."""

import pytest

from orderstream.core.fix.pace import Pace, pace_of

AT = "2026-03-02T14:30:{:09.6f}Z"


def due(pace: Pace, *seconds: float | None) -> list[float]:
    return [pace.due_s(None if second is None else AT.format(second)) for second in seconds]


def test_messages_are_due_at_the_pace_of_their_times() -> None:
    """The first one at once."""
    assert due(Pace(10, float("inf")), 5, 6, 15) == pytest.approx([0, 0.1, 1.0])


def test_silences_are_cut() -> None:
    """A night is not waited for."""
    assert due(Pace(1, 2), 0, 30, 31) == pytest.approx([0, 2, 3])


def test_a_time_that_goes_back_or_is_missing_holds_nothing_up() -> None:
    """And the later one still counts from the latest there was."""
    assert due(Pace(1, float("inf")), 10, 4, None, 12) == pytest.approx([0, 0, 0, 2])


@pytest.mark.parametrize(("text", "times"), [("10x", 10), ("1", 1), ("0.5x", 0.5)])
def test_pace_is_read(text: str, times: float) -> None:
    """With the sign of multiplication or without."""
    assert pace_of(text) == times


@pytest.mark.parametrize("text", ["", "x", "0x", "-1x", "fast", "1xx", "nan", "1e3"])
def test_what_is_no_pace_is_refused(text: str) -> None:
    """In words that help."""
    with pytest.raises(ValueError, match="is not a pace, such as 1x"):
        pace_of(text)
