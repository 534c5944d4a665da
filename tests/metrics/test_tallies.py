"""Our own counts say the same as prometheus-client's."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from orderstream.metrics.tallies import LATENCY_BUCKETS_S, CountFamily, Latencies, LatencyFamily

SECONDS = st.one_of(st.floats(-1, 20), st.sampled_from(LATENCY_BUCKETS_S))


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """As Prometheus reads them, without the times of creation."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): pytest.approx(sample.value)
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(SECONDS, max_size=50))
def test_latencies_are_scraped_as_a_histogram_of_prometheus_client(observed: Sequence[float]) -> None:
    """Bucket by bucket, bounds included."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    family = LatencyFamily("age_seconds", "Age.", "transport")
    ours.register(family)
    histogram = Histogram("age_seconds", "Age.", ["transport"], buckets=LATENCY_BUCKETS_S, registry=theirs)
    for seconds in observed:
        family.series["sse"].observe(seconds)
        histogram.labels("sse").observe(seconds)
    assert samples(ours) == samples(theirs)


@given(st.lists(SECONDS, max_size=100))
def test_many_latencies_count_as_one_by_one(observed: Sequence[float]) -> None:
    """Bounds included, few or many."""
    together, alone = Latencies(), Latencies()
    together.observe_all(list(observed))
    for seconds in observed:
        alone.observe(seconds)
    assert together.counts == alone.counts
    assert together.sum_s == pytest.approx(alone.sum_s)


def test_counts_are_scraped_as_counters_of_prometheus_client() -> None:
    """A series for each value, with the ending _total."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    family = CountFamily("events_sent", "Events.", ("transport", "event"))
    ours.register(family)
    counter = Counter("events_sent", "Events.", ["transport", "event"], registry=theirs)
    for transport, event in [("sse", "order"), ("sse", "order"), ("poll", "execution")]:
        family.counts[transport, event] += 1
        counter.labels(transport, event).inc()
    assert samples(ours) == samples(theirs)


def test_latencies_without_a_label_are_there_before_the_first() -> None:
    """A rate of what never happened is 0, and not unknown."""
    registry = CollectorRegistry()
    registry.register(LatencyFamily("lag_seconds", "Lag."))
    assert registry.get_sample_value("lag_seconds_count") == 0
