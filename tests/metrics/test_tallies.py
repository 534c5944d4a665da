"""Our own counts say the same as prometheus-client's."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from orderstream.core.events import Event
from orderstream.metrics import PrometheusMeter
from orderstream.metrics.tallies import LATENCY_BUCKETS_S, Latencies, LatencyFamily, SentFamilies

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
def test_latencies_observed_together_count_as_each_by_itself(observed: list[float]) -> None:
    """Bounds included."""
    each, together = Latencies(), Latencies()
    for seconds in observed:
        each.observe(seconds)
    together.observe_all(list(observed))
    assert together.counts == each.counts
    assert together.sum_s == pytest.approx(each.sum_s)


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


def test_what_was_sent_is_scraped_as_families_of_prometheus_client() -> None:
    """Events by transport and name, bytes and latencies by transport."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    families = SentFamilies()
    ours.register(families)
    counter = Counter("orderstream_events_sent", "Events.", ["transport", "event"], registry=theirs)
    sizes = Counter("orderstream_bytes_sent", "Bytes.", ["transport"], registry=theirs)
    histogram = Histogram(
        "orderstream_written_to_sent_seconds", "Age.", ["transport"], buckets=LATENCY_BUCKETS_S, registry=theirs
    )
    for transport, event in [("sse", "order"), ("sse", "order"), ("poll", "execution")]:
        tally = families.of[transport]
        tally.events[event] += 1
        tally.size_bytes += 7
        tally.latencies.observe(0.25)
        counter.labels(transport, event).inc()
        sizes.labels(transport).inc(7)
        histogram.labels(transport).observe(0.25)
    assert samples(ours) == samples(theirs)


def test_latencies_without_a_label_are_there_before_the_first() -> None:
    """A rate of what never happened is 0, and not unknown."""
    registry = CollectorRegistry()
    registry.register(LatencyFamily("lag_seconds", "Lag."))
    assert registry.get_sample_value("lag_seconds_count") == 0


def test_events_written_to_streams_together_count_as_if_each_had_been_sent() -> None:
    """However many streams took them: events, bytes and latencies."""
    now_s = 1000.0
    together, each = (PrometheusMeter(clock=lambda: now_s) for _ in range(2))
    events = [Event("0a0a0a0a", 1, "order", b"12345", 999.997), Event("0a0a0a0a", 2, "execution", b"123", 999.0)]
    together.streamed([(events, 3), (events[:1], 1)])
    for items in [events, events, events, events[:1]]:
        each.sent("sse", items, sum(len(event.frame) for event in items))
    found, expected = (
        {
            (sample.name, *sorted(sample.labels.items())): pytest.approx(sample.value)
            for family in meter.sent_tallies.collect()
            for sample in family.samples
        }
        for meter in (together, each)
    )
    assert found == expected
