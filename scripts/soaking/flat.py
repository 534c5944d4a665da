"""Whether a quantity stays as it is, told from a series of looks at it.

What counts is its trend: the median of the slopes between any two looks (Theil and Sen), which neither saw teeth nor a
single look that was off can bend.
"""

import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

# So much of itself may it grow by in ten minutes.
SHARE = 0.02
_TEN_MINUTES_S = 600.0

Points = Sequence[tuple[float, float]]


class Quantity(NamedTuple):
    """`spare` is what it may grow by in all of a run, where its share is less: what it moves by anyway."""

    name: str
    unit: str
    spare: float


class Trend(NamedTuple):
    """`first` and `last` are where the line through all points begins and ends."""

    first: float
    last: float
    allowed: float

    @property
    def grew(self) -> float:
        return self.last - self.first

    @property
    def is_flat(self) -> bool:
        """What becomes less is no leak."""
        return self.grew <= self.allowed


def trend(quantity: Quantity, points: Points) -> Trend:
    """Of three points or more, (seconds, value), in their order."""
    span_s = points[-1][0] - points[0][0]
    pairs = itertools.combinations(points, 2)
    slope = statistics.median((later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairs)
    middle = statistics.median(value for _, value in points)
    first = statistics.median(value - slope * (at_s - points[0][0]) for at_s, value in points)
    allowed = max(quantity.spare, SHARE * middle * span_s / _TEN_MINUTES_S)
    return Trend(first, first + slope * span_s, allowed)
