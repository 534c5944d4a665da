"""Writes are held for a moment, and none is missing from what is scraped."""

import time

from orderstream.core.delivery import Reset
from orderstream.core.events import Event, SequencedEvent
from orderstream.metrics import PrometheusMeter
from orderstream.metrics.writes import MOST_HELD, Writes


def event(name: str = "order", age_s: float = 0.0) -> Event:
    """Written so long ago."""
    return Event(SequencedEvent(1, "ann", "0a0a0a0a", 1, name, "{}", time.time() - age_s))


def test_writes_are_in_the_next_scrape() -> None:
    """By transport and kind, with their bytes, and resets by reason."""
    meter = PrometheusMeter()
    meter.sent("sse", [Reset("cursor-expired"), event(), event("execution")], 300)
    meter.sent("poll", [event()], 100)
    sample = meter.registry.get_sample_value
    assert sample("orderstream_events_sent_total", {"transport": "sse", "event": "execution"}) == 1
    assert sample("orderstream_bytes_sent_total", {"transport": "poll"}) == 100
    assert sample("orderstream_resets_total", {"reason": "cursor-expired"}) == 1


def test_latency_is_by_the_clock_of_the_database() -> None:
    """Here ten seconds ahead of ours."""
    meter = PrometheusMeter(clock=lambda: time.time() + 10.0)
    meter.sent("sse", [event(age_s=-10.0)], 100)
    buckets = {"transport": "sse", "le": "1.0"}
    assert meter.registry.get_sample_value("orderstream_written_to_sent_seconds_bucket", buckets) == 1


def test_few_writes_are_held() -> None:
    """However long nobody scrapes: their events are in memory meanwhile."""
    writes = Writes(time.time, lambda _: None)
    meter = PrometheusMeter()
    meter._writes = writes
    for _ in range(3 * MOST_HELD - 1):
        meter.sent("sse", [event()], 1)
    assert len(writes.held["sse"]) == MOST_HELD - 1
    assert sum(writes.latencies.series["sse"].counts) == 2 * MOST_HELD
