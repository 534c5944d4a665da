"""Bursts: one line per interval, and every line counted."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.bursts import Bursts, Said


@pytest.fixture
def bursts() -> Bursts[str, int]:
    return Bursts(interval_s=1.0, max_keys=3, max_marks=2)


def test_first_line_is_said_at_once(bursts: Bursts[str, int]) -> None:
    """Each key has its own."""
    assert bursts.take("a", 1, 0.0) == [Said(1, 1, ())]
    assert bursts.take("b", 2, 0.1) == [Said(2, 1, ())]


def test_those_that_follow_are_said_once_with_their_number(bursts: Bursts[str, int]) -> None:
    """The newest stands for them, and not before its time."""
    for line in range(5):
        bursts.take("a", line, 0.1 * line)
    assert bursts.due(0.99) == []
    assert bursts.due(1.0) == [Said(4, 4, ())]
    assert bursts.due(5.0) == []


def test_next_line_of_another_key_says_what_is_due(bursts: Bursts[str, int]) -> None:
    """Nobody else need look."""
    bursts.take("a", 1, 0.0)
    bursts.take("a", 2, 0.5)
    assert bursts.take("b", 3, 1.0) == [Said(2, 1, ()), Said(3, 1, ())]


def test_burst_that_goes_on_is_said_once_an_interval(bursts: Bursts[str, int]) -> None:
    """A hundred a second."""
    said = [one for step in range(301) for one in bursts.take("a", step, step / 100)]
    assert [one.times for one in said] == [1, 99, 100, 100]


def test_line_after_a_quiet_interval_is_said_at_once(bursts: Bursts[str, int]) -> None:
    """It is no burst."""
    assert [bursts.take("a", line, 1.0 * line) for line in range(3)] == [[Said(line, 1, ())] for line in range(3)]


def test_line_just_after_its_burst_was_told_waits_its_interval(bursts: Bursts[str, int]) -> None:
    """Also where another look than its own told it."""
    bursts.take("a", 1, 0.0)
    bursts.take("a", 2, 0.5)
    bursts.due(1.0)
    assert bursts.take("a", 3, 1.1) == []
    assert bursts.due(2.0) == [Said(3, 1, ())]


def test_newest_marks_are_kept(bursts: Bursts[str, int]) -> None:
    """As many as may be; a line without one counts all the same."""
    for line, mark in enumerate(["first", "x", "y", None, "z"]):
        bursts.take("a", line, 0.0, mark)
    assert bursts.rest() == [Said(4, 4, ("y", "z"))]


def test_oldest_key_gives_way_and_is_not_lost(bursts: Bursts[str, int]) -> None:
    """To one more than may be kept."""
    for line, key in enumerate(["a", "b", "a", "c"]):
        bursts.take(key, line, 0.0)
    assert bursts.take("d", 9, 0.1) == [Said(2, 1, ()), Said(9, 1, ())]


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0.0, 0.7), st.booleans())))
def test_counts_of_what_is_said_are_the_lines_that_came(steps: list[tuple[str, float, bool]]) -> None:
    """Whatever comes when, and whoever gives way."""
    bursts: Bursts[str, str] = Bursts(max_keys=3)
    now_s, came, said = 0.0, defaultdict[str, int](int), defaultdict[str, int](int)
    for key, pause_s, looks in steps:
        now_s += pause_s
        came[key] += 1
        for one in bursts.take(key, key, now_s) + (bursts.due(now_s) if looks else []):
            said[one.line] += one.times
    for one in bursts.rest():
        said[one.line] += one.times
    assert said == came


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 0.7))))
def test_key_is_said_once_an_interval_at_most(steps: list[tuple[str, float]]) -> None:
    """Where none gives way."""
    bursts: Bursts[str, str] = Bursts(max_keys=3)
    now_s, said_at_s = 0.0, dict[str, float]()
    for key, pause_s in steps:
        now_s += pause_s
        for one in bursts.take(key, key, now_s):
            assert now_s - said_at_s.get(one.line, -1.0) >= 1.0
            said_at_s[one.line] = now_s
