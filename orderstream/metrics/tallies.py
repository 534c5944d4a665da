"""Counts and histograms that cost little where they are kept and something only when they are scraped.

An event is counted for each of its subscribers, so its counting is a part of what it costs to deliver it. prometheus-
client's own take two locks and walk over the buckets for every observation: six times as long (docs/metrics.md, "What
measuring costs"). These need no lock: they are kept and scraped on the loop's thread.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

# From what a commit takes on a fast disk to what nobody would call real time any more.
LATENCY_BUCKETS_S = (
    0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class Latencies:
    """A histogram of one series, in seconds: how many were in each bucket and above the last, and their sum. Whoever
    counts thousands a second adds to them by itself, as `observe` does: a call costs as much as the counting."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.sum_s = 0.0

    def observe(self, seconds: float) -> None:
        """A bucket holds what is not above its bound, as Prometheus' `le` says."""
        self.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.sum_s += seconds

    def observe_all(self, seconds: list[float]) -> None:
        """The same for many, which are left in another order: one look for each bucket, not one for each value."""
        if not seconds:
            return
        seconds.sort()
        first, last = bisect_left(LATENCY_BUCKETS_S, seconds[0]), bisect_left(LATENCY_BUCKETS_S, seconds[-1])
        below = 0
        for bucket in range(first, last):
            up_to = bisect_right(seconds, LATENCY_BUCKETS_S[bucket])
            self.counts[bucket] += up_to - below
            below = up_to
        self.counts[last] += len(seconds) - below
        self.sum_s += sum(seconds)


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


class SentTally:
    """What one transport was sent; `events` by their names."""

    __slots__ = ("events", "latencies", "size_bytes")

    def __init__(self) -> None:
        self.size_bytes = 0
        self.events: defaultdict[str, int] = defaultdict(int)
        self.latencies = Latencies()


class SentFamilies:
    """Three families of one tally for each transport, so that an event's counting looks up one."""

    def __init__(self) -> None:
        self.of: defaultdict[str, SentTally] = defaultdict(SentTally)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at every scrape."""
        events = CounterMetricFamily(
            "orderstream_events_sent", "Events written to clients.", labels=("transport", "event")
        )
        sizes = CounterMetricFamily("orderstream_bytes_sent", "Bytes written to clients.", labels=("transport",))
        latencies = LatencyFamily(
            "orderstream_written_to_sent_seconds", "From the trigger's written_at to the socket.", "transport"
        )
        for transport, tally in self.of.items():
            sizes.add_metric((transport,), tally.size_bytes)
            latencies.series[transport] = tally.latencies
            for name, count in tally.events.items():
                events.add_metric((transport, name), count)
        yield from (events, sizes, *latencies.collect())
