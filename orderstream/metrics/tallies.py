"""Counts and histograms that cost little where they are kept and something only when they are scraped.

An event is counted for each of its subscribers, so its counting is a part of what it costs to deliver it. prometheus-
client's own take two locks and walk over the buckets for every observation: six times as long (docs/metrics.md, "What
measuring costs"). These need no lock: they are kept and scraped on the loop's thread.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

# From what a commit takes on a fast disk to what nobody would call real time any more.
LATENCY_BUCKETS_S = (
    0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class Latencies:
    """A histogram of one series, in seconds; also readable by the process itself."""

    __slots__ = ("_counts", "_sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """A bucket holds what is not above its bound, as Prometheus' `le` says."""
        self._counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self._sum_s += seconds

    def observe_all(self, seconds: list[float]) -> None:
        """The same for many, which are sorted: one look at each bound for all of them."""
        if len(seconds) < len(LATENCY_BUCKETS_S):
            for each in seconds:
                self.observe(each)
            return
        seconds.sort()
        counts, below = self._counts, 0
        for number, bound in enumerate(LATENCY_BUCKETS_S):
            within = bisect_right(seconds, bound, below)
            counts[number] += within - below
            below = within
        counts[-1] += len(seconds) - below
        self._sum_s += sum(seconds)

    @property
    def counts(self) -> Sequence[int]:
        """How many were in each bucket, and above the last."""
        return tuple(self._counts)

    @property
    def sum_s(self) -> float:
        return self._sum_s


class LatencyFamily:
    """Histograms of one name, a series for each value of the label; without a label the one series is `""`."""

    def __init__(self, name: str, documentation: str, label: str | None = None) -> None:
        self._name, self._documentation, self._label = name, documentation, label
        self.series: defaultdict[str, Latencies] = defaultdict(Latencies)
        if label is None:
            # Scraped from the start, so that its rate is 0 and not nothing.
            self.series[""] = Latencies()

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at every scrape."""
        labels = () if self._label is None else (self._label,)
        family = HistogramMetricFamily(self._name, self._documentation, labels=labels)
        for value, latencies in self.series.items():
            buckets, below = [], 0
            for bound, count in zip((*map(str, LATENCY_BUCKETS_S), "+Inf"), latencies.counts, strict=True):
                below += count
                buckets.append((bound, below))
            family.add_metric(labels and (value,), buckets, latencies.sum_s)
        yield family


class CountFamily:
    """Counters of one name, a series for each tuple of label values. `counts[values] += n` counts."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self.counts: defaultdict[tuple[str, ...], int] = defaultdict(int)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at every scrape."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, count in self.counts.items():
            family.add_metric(values, count)
        yield family
