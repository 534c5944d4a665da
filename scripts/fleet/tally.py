"""What a transport's clients got, in numbers whose size does not grow with the traffic."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

_LEAST_S, _MOST_S = 1e-6, 1e3
# Neighbouring buckets are 2 % apart: a quantile is right within 1 %.
_PER_E = 1 / math.log(1.02)
_OFFSET = -math.log(_LEAST_S) * _PER_E
_BUCKETS = int(math.log(_MOST_S) * _PER_E + _OFFSET) + 2

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Ages:
    """A histogram of seconds, from a microsecond to a quarter of an hour."""

    def __init__(self) -> None:
        self.count = 0
        self.longest_s = 0.0
        self._buckets = [0] * _BUCKETS

    def add(self, age_s: float) -> None:
        """A clock that is off makes an age negative: that counts as the least."""
        self.count += 1
        self.longest_s = max(self.longest_s, age_s)
        self._buckets[int(math.log(min(age_s, _MOST_S)) * _PER_E + _OFFSET) if age_s > _LEAST_S else 0] += 1

    def add_all(self, other: "Ages") -> None:
        self.count += other.count
        self.longest_s = max(self.longest_s, other.longest_s)
        self._buckets = [mine + theirs for mine, theirs in zip(self._buckets, other._buckets, strict=True)]

    def since(self, before: "Ages") -> "Ages":
        """Those that came after another reading of the same; the longest is that of all. Both may have been read while
        another thread added."""
        added = Ages()
        added._buckets = [mine - theirs for mine, theirs in zip(self._buckets, before._buckets, strict=True)]
        added.count, added.longest_s = sum(added._buckets), self.longest_s
        return added

    def quantile(self, share: float) -> float:
        """Seconds that `share` of all are not above; NaN where there are none."""
        if not self.count:
            return math.nan
        if share >= 1.0:
            return self.longest_s
        left = share * self.count
        index = 0
        for index, count in enumerate(self._buckets):  # noqa: B007
            left -= count
            if count and left <= 0:
                break
        return min(self.longest_s, math.exp((index + 0.5 - _OFFSET) / _PER_E))

    def curve(self) -> Iterator[tuple[float, float]]:
        """Seconds and the share of all that are not above them, bucket by bucket."""
        so_far = 0
        for index, count in enumerate(self._buckets):
            so_far += count
            if count:
                yield math.exp((index + 0.5 - _OFFSET) / _PER_E), so_far / self.count


class Tally:
    """Counters of one transport. `lost` are holes between two numbers that one client saw, or numbers that a service
    named and never sent; `repeated`, numbers that it had sent before."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.ages = Ages()
        self.open = 0
        self.opened = 0
        self.answers = 0
        self.not_modified = 0
        self.events = 0
        self.received_bytes = 0
        self.lost = 0
        self.repeated = 0
        self.resets = 0
        self.broken = 0
        self.live = 0
        self.refused: Counter[int] = Counter()
        self.goaways: Counter[str] = Counter()

    @property
    def errors(self) -> int:
        """Connections that ended, or never began, without the service having said why."""
        return self.broken + sum(self.refused.values())


def count_gap(tally: Tally, last: int, seq: int) -> bool:
    """Counts an event that came after `last`; False for one that came before."""
    if seq <= last:
        tally.repeated += 1
        return False
    tally.events += 1
    tally.lost += seq - last - 1
    return True


def merged(tallies: Iterable[Tally]) -> Ages:
    """The ages of all of them."""
    ages = Ages()
    for tally in tallies:
        ages.add_all(tally.ages)
    return ages
