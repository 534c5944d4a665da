"""Looks for the status page: the numbers of `/metrics`, and how they rose since the last look and in a minute."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry

from orderstream import __version__
from orderstream.metrics.faults import faults
from orderstream.metrics.percentiles import percentile
from orderstream.metrics.reading import PROMISED_S, Latency, Percentiles, Reading
from orderstream.metrics.scrape import Scrape
from orderstream.metrics.tallies import LATENCY_BUCKETS_S

# Key in a reading -> the histogram `orderstream_<name>_seconds`; in the order of an event's way.
LATENCIES = {
    "numbered": "written_to_sequenced",
    "read": "written_to_followed",
    "sent": "written_to_sent",
    "acknowledged": "written_to_acknowledged",
    "canary": "canary",
    "loop": "loop_lag",
}
_BOUNDS_S = (*LATENCY_BUCKETS_S, math.inf)
_PROMISED = LATENCY_BUCKETS_S.index(PROMISED_S)
_MINUTE_S = 60.0
# How a delivery ends that was not let in.
_TURNED_AWAY = ("overload", "unavailable")


class Totals(msgspec.Struct, frozen=True):
    """What only rises, at one moment on a clock of its own; small, since a minute of them is kept."""

    at_s: float
    read: float
    sent: float
    cpu_s: float
    asked: float
    turned_away: float
    late: Mapping[str, float]
    """Transport -> changes of the canary's."""
    errors: Mapping[str, float]
    below: Mapping[str, Sequence[float]]
    """Of each latency that is measured, its histogram's buckets."""


def totals(scrape: Scrape, at_s: float) -> Totals:
    """What is not there yet has not happened."""
    closes = scrape.by("reason", "orderstream_closes_total")
    found = {key: scrape.by("le", f"orderstream_{name}_seconds_bucket") for key, name in LATENCIES.items()}
    return Totals(
        at_s,
        read=scrape.value("orderstream_written_to_followed_seconds_count") or 0.0,
        sent=scrape.value("orderstream_events_sent_total") or 0.0,
        cpu_s=scrape.value("process_cpu_seconds_total") or 0.0,
        asked=scrape.value("orderstream_connects_total") or 0.0,
        turned_away=sum(closes.get(reason, 0.0) for reason in _TURNED_AWAY),
        late=scrape.by("transport", "orderstream_canary_late_total"),
        errors=scrape.by("part", "orderstream_database_errors_total"),
        below={key: tuple(buckets.values()) for key, buckets in found.items() if buckets},
    )


def percentiles(now: Sequence[float], then: Sequence[float] | None) -> Percentiles | None:
    """Of what came between two states of one histogram; None where nothing did. Without `then`, of all."""
    below = now if then is None else [after - before for after, before in zip(now, then, strict=True)]
    p50_s, p99_s = percentile(_BOUNDS_S, below, 0.5), percentile(_BOUNDS_S, below, 0.99)
    if p50_s is None or p99_s is None:
        return None
    return Percentiles(int(below[-1]), p50_s, p99_s, in_time=below[_PROMISED] / below[-1])


def latencies(now: Totals, last: Totals, first: Totals) -> dict[str, Latency | None]:
    """Key -> since the `last` look, and since the `first` of the minute."""

    def between(key: str) -> Latency | None:
        below = now.below.get(key)
        if below is None:
            return None
        return Latency(percentiles(below, last.below.get(key)), percentiles(below, first.below.get(key)))

    return {key: between(key) for key in LATENCIES}


class Watch:
    """Looks again and again; `clock` is in seconds, from anywhere."""

    def __init__(
        self,
        registry: CollectorRegistry,
        checks: Callable[[], Mapping[str, str | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._checks = checks
        self._clock = clock
        # Oldest first, of the last minute; by looks a second or more apart it is bounded.
        self._kept: deque[Totals] = deque()

    def look(self) -> Reading:
        """The next reading, compared to those before it."""
        scrape = Scrape(self._registry)
        now = totals(scrape, self._clock())
        # After a time in which nobody looked nothing is left, and it begins anew.
        while self._kept and self._kept[0].at_s < now.at_s - _MINUTE_S:
            self._kept.popleft()
        last = self._kept[-1] if self._kept else now
        self._kept.append(now)
        first = self._kept[0]
        passed_s = now.at_s - last.at_s

        def rate(after: float, before: float) -> float | None:
            return (after - before) / passed_s if passed_s > 0 else None

        reading = Reading(
            at_s=time.time(),
            span_s=now.at_s - first.at_s,
            started_at_s=scrape.value("process_start_time_seconds"),
            version=__version__,
            checks=self._checks(),
            leader=_leader(scrape),
            following=bool(scrape.value("orderstream_follower_connected")),
            read_per_s=rate(now.read, last.read),
            sent_per_s=rate(now.sent, last.sent),
            latencies=latencies(now, last, first),
            canary_late=_risen(now.late, first.late),
            asked=now.asked - first.asked,
            turned_away=now.turned_away - first.turned_away,
            open={"sse": 0.0, "poll": 0.0, **scrape.by("transport", "orderstream_streams_open")},
            slow=scrape.value("orderstream_streams_slow") or 0.0,
            outbox_waiting_rows=scrape.value("orderstream_outbox_waiting_rows"),
            outbox_oldest_s=scrape.value("orderstream_outbox_oldest_seconds"),
            behind_s=scrape.value("orderstream_follower_behind_seconds"),
            database_errors=_risen(now.errors, first.errors),
            cpu_share=rate(now.cpu_s, last.cpu_s),
            memory_bytes=scrape.value("process_resident_memory_bytes"),
        )
        return msgspec.structs.replace(reading, faults=faults(reading))


def _risen(now: Mapping[str, float], then: Mapping[str, float]) -> dict[str, float]:
    return {key: count - then.get(key, 0.0) for key, count in now.items()}


def _leader(scrape: Scrape) -> Literal["here", "elsewhere", "nobody"] | None:
    if scrape.value("orderstream_sequencer_leading"):
        return "here"
    elected = scrape.value("orderstream_sequencer_elected")
    if elected is None:
        return None
    return "elsewhere" if elected else "nobody"
