"""When the next write is due."""

import math

import pytest

from orderstream.demo.pace import MOST_OWED_S, Pace


def test_turns_are_even_when_writes_take_no_time() -> None:
    """Five a second are 0.2 s apart."""
    pace = Pace(5, now_s=100.0)
    assert [pace.wait_s(100.0) for _ in range(3)] == pytest.approx([0, 0.2, 0.4])


def test_lateness_is_caught_up_when_it_was_short() -> None:
    """The rate is held on average: turns missed in half a second are taken at once."""
    pace = Pace(10, now_s=0.0)
    assert [pace.wait_s(0.5) <= 0 for _ in range(7)] == [True] * 6 + [False]


def test_no_more_than_a_second_is_caught_up_when_the_database_was_away() -> None:
    """An hour's writes at once would be a flood."""
    pace = Pace(10, now_s=0.0)
    owed = sum(pace.wait_s(3600.0) <= 0 for _ in range(1000))
    assert owed == pytest.approx(10 * MOST_OWED_S, abs=1)


def test_turn_is_always_due_when_the_rate_is_infinite() -> None:
    """As fast as it goes."""
    pace = Pace(math.inf, now_s=0.0)
    assert max(pace.wait_s(0.0) for _ in range(100)) <= 0
