"""Percentiles from buckets, against the values that were put in and against Prometheus' own rules."""

import math
from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.metrics.percentiles import percentile

BOUNDS = (1.0, 2.0, 4.0, math.inf)


@pytest.mark.parametrize(
    ("below", "share", "expected"),
    [
        ((0, 4, 4, 4), 0.5, 1.5),
        ((4, 4, 4, 4), 0.25, 0.25),
        ((2, 2, 4, 4), 0.5, 1.0),
        ((2, 2, 4, 4), 0.75, 3.0),
        ((0, 1, 1, 1), 1.0, 2.0),
        ((0, 0, 0, 5), 0.5, 4.0),
        ((99, 99, 99, 100), 0.999, 4.0),
    ],
    ids=["within", "first", "full-bucket", "past-an-empty-one", "all", "above-all-bounds", "tail"],
)
def test_percentile_is_between_the_bounds_of_its_bucket(
    below: tuple[float, ...], share: float, expected: float
) -> None:
    """Evenly spread, as histogram_quantile has it; the last finite bound where only infinity is above."""
    assert percentile(BOUNDS, below, share) == pytest.approx(expected)


def test_nothing_has_no_percentile() -> None:
    """It is unknown, and not 0."""
    assert percentile(BOUNDS, (0, 0, 0, 0), 0.99) is None


@given(st.lists(st.floats(0.001, 4), min_size=1), st.floats(0.01, 1))
def test_percentile_is_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    """Whatever the values are."""
    values.sort()
    true = values[math.ceil(share * len(values) - 1e-9) - 1]
    at = bisect_left(BOUNDS, true)
    found = percentile(BOUNDS, [bisect_right(values, bound) for bound in BOUNDS], share)
    assert found is not None
    assert (0, *BOUNDS)[at] - 1e-9 <= found <= BOUNDS[at] + 1e-9
