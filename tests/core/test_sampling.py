"""Sampling: the same answer everywhere, and about as many as were asked for."""

import pytest

from orderstream.core.sampling import is_sampled, trace_of

SOME_DAY = 1_790_000_000.0


@pytest.mark.parametrize(("share", "sampled"), [(0.0, False), (1.0, True)])
@pytest.mark.parametrize("microsecond", range(5))
def test_none_and_all_are_just_that(share: float, sampled: bool, microsecond: int) -> None:
    """Whenever they were written."""
    assert is_sampled(SOME_DAY + microsecond / 1e6, 1, share) is sampled


@pytest.mark.parametrize("apart_s", [0.0, 0.000001, 0.001, 0.05, 1.0, 60.0])
def test_share_is_kept_however_regularly_events_come(apart_s: float) -> None:
    """Ten thousand of one user, by a clock or in one bulk update."""
    sampled = sum(is_sampled(SOME_DAY + step * apart_s, step, 0.01) for step in range(10_000))
    assert 80 <= sampled <= 120


def test_trace_is_of_one_event_and_always_the_same() -> None:
    """Of its epoch, its number and its user, whose order the body names."""
    events = [("0a0a0a0a", 1, b"{1}"), ("0b0b0b0b", 1, b"{1}"), ("0a0a0a0a", 2, b"{1}"), ("0a0a0a0a", 1, b"{2}")]
    assert len({trace_of(*event) for event in events}) == len(events)
    assert trace_of(*events[0]) == trace_of(*events[0])
