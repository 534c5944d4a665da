"""Percentiles of a histogram, read off its buckets as Prometheus' `histogram_quantile` does."""

import math
from collections.abc import Sequence


def percentile(bounds: Sequence[float], below: Sequence[float], share: float) -> float | None:
    """Under what `share` (0 to 1) of all values are; None where there are none.

    `below[i]` is how many were not above `bounds[i]`; both rise, and the last bound is infinity. Within a bucket values
    count as spread evenly, the first from 0; of those above the last finite bound no more is known than that.
    """
    rank = share * below[-1]
    floor, less = 0.0, 0.0
    for bound, count in zip(bounds, below, strict=True):
        if count > less and count >= rank:
            return floor if math.isinf(bound) else floor + (bound - floor) * (rank - less) / (count - less)
        floor, less = bound, count
    return None
