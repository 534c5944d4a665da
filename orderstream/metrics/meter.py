"""The Meter on prometheus-client: what happens is counted here, what is so is read by `gauges` when it is scraped."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from orderstream import __version__
from orderstream.core.delivery import Item, Reset
from orderstream.core.events import Event, SequencedEvent
from orderstream.metrics.tallies import LATENCY_BUCKETS_S, LatencyFamily, SentFamilies

_BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class PrometheusMeter:
    """`clock` is the time on the database's clock, in seconds since 1970: latencies are against `written_at`."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.registry = registry = CollectorRegistry()
        self._clock = clock
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("orderstream_build", "Version.", registry=registry).info({"version": __version__})
        self._open = Gauge("orderstream_streams_open", "Open deliveries.", ["transport"], registry=registry)
        self._slow = Gauge(
            "orderstream_streams_slow", "Streams whose client takes no more for now.", registry=registry
        )  # fmt: skip
        self._connects = self._counter("connects", "Deliveries begun.", "transport")
        self._closes = self._counter("closes", "Deliveries ended.", "transport", "reason")
        self._resumes = self._counter("resumes", "Deliveries that went on after a cursor.", "source")
        self._resets = self._counter("resets", "Resets told.", "reason")
        self._polls = self._counter("polls", "Long-polls answered.", "outcome")
        self._errors = self._counter("database_errors", "Answers lost or late.", "part")
        self._loads = self._counter("loads", "Queries for channels, snapshots and replays.", "kind")
        self._loaded = self._counter("loaded_users", "Users in them.", "kind")
        self._retired = self._counter("retired_rows", "Rows removed by retention.", "table")
        self._takeovers = self._counter("sequencer_takeovers", "Leaderships begun.")
        self._checks = self._counter("checks", "Events that a check found odd.", "verdict", "rule")
        self._unchecked = self._counter("unchecked", "Events that could not be checked.")
        self._sleeps = self._counter("doorbell_sleeps", "Times the sequencer lay down.")
        self._rings = self._counter("doorbell_rings", "Times it was rung awake.")
        self._catches = self._counter("doorbell_missed", "Times the safety net found events; should be 0.")
        self._canary_changes = self._counter("canary_changes", "Changes of the canary's order.")
        self._canary_late = self._counter("canary_late", "Those that did not arrive in time.", "transport")
        self._leading = Gauge("orderstream_sequencer_leading", "1 where the sequencer leads.", registry=registry)
        self._batches = Histogram(
            "orderstream_sequencer_batch_events", "Events in a step.", buckets=_BATCH_BUCKETS, registry=registry
        )
        self.sent_tallies = SentFamilies()
        self._sequenced = LatencyFamily(
            "orderstream_written_to_sequenced_seconds", "From the trigger's written_at to the sequencer's commit."
        )
        self._followed = LatencyFamily(
            "orderstream_written_to_followed_seconds", "From the trigger's written_at to this process."
        )
        self._acknowledged = LatencyFamily(
            "orderstream_written_to_acknowledged_seconds",
            "From the trigger's written_at to the client's word that it has it, which is sampled.",
            "transport",
        )
        self._loop_lag = LatencyFamily("orderstream_loop_lag_seconds", "How late the event loop's timer was.")
        self._canary = LatencyFamily(
            "orderstream_canary_seconds", "From before the canary's change to its arrival.", "transport"
        )
        for family in (
            self._canary,
            self.sent_tallies,
            *(self._sequenced, self._followed, self._acknowledged, self._loop_lag),
        ):
            registry.register(family)

    def opened(self, transport: str) -> None:
        self._open.labels(transport).inc()
        self._connects.labels(transport).inc()

    def closed(self, transport: str, reason: str) -> None:
        self._open.labels(transport).dec()
        self._closes.labels(transport, reason).inc()

    def resumed(self, source: str) -> None:
        self._resumes.labels(source).inc()

    def sent(self, transport: str, items: Sequence[Item], size_bytes: int) -> None:
        tally = self.sent_tallies.of[transport]
        tally.size_bytes += size_bytes
        latencies, now_s = tally.latencies, self._clock()
        for item in items:
            if type(item) is Event:
                age_s = now_s - item.written_at
                latencies.counts[bisect_left(LATENCY_BUCKETS_S, age_s)] += 1
                latencies.sum_s += age_s
                tally.events[item.name] += 1
            elif isinstance(item, Reset):
                self._resets.labels(item.reason).inc()

    def streamed(self, told: Sequence[tuple[Sequence[Event], int]]) -> None:
        tally = self.sent_tallies.of["sse"]
        counts, names, now_s = tally.latencies.counts, tally.events, self._clock()
        sum_s, size_bytes = 0.0, 0
        for events, streams in told:
            for event in events:
                age_s = now_s - event.written_at
                counts[bisect_left(LATENCY_BUCKETS_S, age_s)] += streams
                sum_s += age_s * streams
                names[event.name] += streams
                size_bytes += len(event.frame) * streams
        tally.latencies.sum_s += sum_s
        tally.size_bytes += size_bytes

    def acknowledged(self, transport: str, event: Event) -> None:
        self._acknowledged.series[transport].observe(self._clock() - event.written_at)

    def slowed(self) -> None:
        self._slow.inc()

    def caught_up(self) -> None:
        self._slow.dec()

    def polled(self, outcome: str) -> None:
        self._polls.labels(outcome).inc()

    def loaded(self, kind: str, users: int) -> None:
        self._loads.labels(kind).inc()
        self._loaded.labels(kind).inc(users)

    def sequenced(self, batch: Sequence[SequencedEvent]) -> None:
        self._batches.observe(len(batch))
        self._observe(self._sequenced, batch)

    def checked(self, verdict: str, rule: str, events: int) -> None:
        self._checks.labels(verdict, rule).inc(events)

    def unchecked(self, events: int) -> None:
        self._unchecked.inc(events)

    def slept(self) -> None:
        self._sleeps.inc()

    def rung(self) -> None:
        self._rings.inc()

    def caught_by_safety_net(self) -> None:
        self._catches.inc()

    def took_over(self) -> None:
        self._leading.set(1)
        self._takeovers.inc()

    def stepped_down(self) -> None:
        self._leading.set(0)

    def followed(self, batch: Sequence[SequencedEvent]) -> None:
        self._observe(self._followed, batch)

    def database_error(self, part: str) -> None:
        self._errors.labels(part).inc()

    def retired(self, table: str, rows: int) -> None:
        self._retired.labels(table).inc(rows)

    def loop_lagged(self, seconds: float) -> None:
        self._loop_lag.series[""].observe(seconds)

    def canary_watches(self, transport: str) -> None:
        self._canary_late.labels(transport)
        self._errors.labels("canary")
        self._canary.series[transport]  # made by being asked for

    def canary_changed(self) -> None:
        self._canary_changes.inc()

    def canary_heard(self, transport: str, seconds: float) -> None:
        self._canary.series[transport].observe(seconds)

    def canary_late(self, transport: str) -> None:
        self._canary_late.labels(transport).inc()

    def _observe(self, family: LatencyFamily, batch: Sequence[SequencedEvent]) -> None:
        now_s = self._clock()
        family.series[""].observe_all([now_s - event.written_at for event in batch])

    def _counter(self, noun: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"orderstream_{noun}_total", documentation, labels, registry=self.registry)
