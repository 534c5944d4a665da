"""The Meter on prometheus-client. Names are `orderstream_<noun>_<unit|total>`; never a user or an order as a label."""

import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from orderstream import __version__
from orderstream.core.delivery import Item, Reset
from orderstream.core.events import Event, SequencedEvent

_LATENCY_BUCKETS_S = (
    0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class PrometheusMeter:
    """`clock` is the time on the database's clock, in seconds since 1970: latencies are against `written_at`."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.registry = registry = CollectorRegistry()
        self._clock = clock
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("orderstream_build", "Version.", registry=registry).info({"version": __version__})
        self._open = Gauge("orderstream_streams_open", "Open deliveries.", ["transport"], registry=registry)
        self._closes = Counter(
            "orderstream_closes_total", "Ended deliveries.", ["transport", "reason"], registry=registry
        )
        self._events = Counter("orderstream_events_sent_total", "Events written.", ["transport"], registry=registry)
        self._bytes = Counter("orderstream_bytes_sent_total", "Bytes written.", ["transport"], registry=registry)
        self._resets = Counter("orderstream_resets_total", "Resets told.", ["reason"], registry=registry)
        self._sent = Histogram(
            "orderstream_written_to_sent_seconds", "From the trigger's written_at to the socket.",
            ["transport"], buckets=_LATENCY_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._followed = Histogram(
            "orderstream_written_to_followed_seconds", "From the trigger's written_at to this process.",
            buckets=_LATENCY_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._polls = Counter("orderstream_polls_total", "Answered long-polls.", ["outcome"], registry=registry)
        self._loads = Counter(
            "orderstream_loads_total", "Queries for channels and snapshots.", ["kind"], registry=registry
        )
        self._loaded = Counter("orderstream_loaded_users_total", "Users in them.", ["kind"], registry=registry)
        self._leading = Gauge("orderstream_sequencer_leading", "1 where the sequencer leads.", registry=registry)
        self._takeovers = Counter("orderstream_sequencer_takeovers_total", "Leaderships begun.", registry=registry)
        self._batches = Histogram(
            "orderstream_sequencer_batch_events", "Events in a step.",
            buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000), registry=registry,
        )  # fmt: skip
        self._sleeps = Counter("orderstream_doorbell_sleeps_total", "Times the sequencer lay down.", registry=registry)
        self._catches = Counter(
            "orderstream_doorbell_missed_total",
            "Events found by the safety net; should be 0.",
            registry=registry,
        )
        self._errors = Counter(
            "orderstream_database_errors_total", "Lost or late answers.", ["part"], registry=registry
        )
        self._retired = Counter(
            "orderstream_retired_rows_total", "Rows removed by retention.", ["table"], registry=registry
        )

    def opened(self, transport: str) -> None:
        self._open.labels(transport).inc()

    def closed(self, transport: str, reason: str) -> None:
        self._open.labels(transport).dec()
        self._closes.labels(transport, reason).inc()

    def sent(self, transport: str, items: Sequence[Item], size_bytes: int) -> None:
        self._bytes.labels(transport).inc(size_bytes)
        now, observe, count = self._clock(), self._sent.labels(transport).observe, 0
        for item in items:
            if isinstance(item, Event):
                observe(now - item.written_at)
                count += 1
            elif isinstance(item, Reset):
                self._resets.labels(item.reason).inc()
        if count:
            self._events.labels(transport).inc(count)

    def polled(self, outcome: str) -> None:
        self._polls.labels(outcome).inc()

    def loaded(self, kind: str, users: int) -> None:
        self._loads.labels(kind).inc()
        self._loaded.labels(kind).inc(users)

    def sequenced(self, batch: Sequence[SequencedEvent]) -> None:
        self._batches.observe(len(batch))

    def slept(self) -> None:
        self._sleeps.inc()

    def caught_by_safety_net(self) -> None:
        self._catches.inc()

    def took_over(self) -> None:
        self._leading.set(1)
        self._takeovers.inc()

    def stepped_down(self) -> None:
        self._leading.set(0)

    def followed(self, batch: Sequence[SequencedEvent]) -> None:
        now = self._clock()
        for event in batch:
            self._followed.observe(now - event.written_at)

    def database_error(self, part: str) -> None:
        self._errors.labels(part).inc()

    def retired(self, table: str, rows: int) -> None:
        self._retired.labels(table).inc(rows)
