"""Readings: what is so, and what came since the last look and within the minute."""

from collections.abc import Callable

import pytest

from orderstream.core.events import Event, SequencedEvent
from orderstream.metrics import PrometheusMeter
from orderstream.metrics.status import Watch

EVENT = Event(SequencedEvent(1, "ann", "0a0a0a0a", 1, "order", "{}", 0.0))


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter() -> PrometheusMeter:
    return PrometheusMeter()


@pytest.fixture
def watch(meter: PrometheusMeter, clock: Clock) -> Watch:
    return Watch(meter.registry, lambda: {"database": None}, clock)


def sends(meter: PrometheusMeter) -> Callable[[float, int], None]:
    def send(seconds: float, count: int) -> None:
        for _ in range(count):
            meter.sent_latencies.series["sse"].observe(seconds)

    return send


def test_first_reading_claims_nothing_about_what_was_before_it(watch: Watch, meter: PrometheusMeter) -> None:
    """Totals since the start of the process are no rate, and no latency of now."""
    sends(meter)(0.004, 10)
    reading = watch.look()
    latency = reading.latencies["sent"]
    assert latency is not None
    assert (reading.sent_per_s, latency.last, latency.minute) == (None, None, None)
    assert reading.checks == {"database": None}


def test_latency_is_of_the_last_interval_and_of_the_minute(watch: Watch, meter: PrometheusMeter, clock: Clock) -> None:
    """A bad second shows at once, and weighs in the minute as much as it had events."""
    watch.look()
    for seconds, count in ((0.004, 900), (0.2, 100)):
        sends(meter)(seconds, count)
        clock.now_s += 1
        latency = watch.look().latencies["sent"]
    assert latency is not None
    assert latency.last is not None
    assert latency.minute is not None
    assert (latency.last.count, latency.minute.count) == (100, 1000)
    assert (latency.last.in_time, latency.minute.in_time) == (0, 0.9)
    assert 0.1 < latency.last.p50_s <= 0.25
    assert 0.003 < latency.minute.p50_s <= 0.005 < 0.1 < latency.minute.p99_s


def test_minute_forgets_what_is_older(watch: Watch, meter: PrometheusMeter, clock: Clock) -> None:
    """Sixty looks are kept, not more."""
    watch.look()
    sends(meter)(1.0, 5)
    for _ in range(62):
        clock.now_s += 1
        latency = watch.look().latencies["sent"]
    assert latency is not None
    assert latency.minute is None


def test_looks_begin_anew_after_a_time_without_any(watch: Watch, meter: PrometheusMeter, clock: Clock) -> None:
    """What came meanwhile is no rate of now, and of no minute."""
    watch.look()
    sends(meter)(1.0, 5)
    clock.now_s += 61
    reading = watch.look()
    assert (reading.span_s, reading.sent_per_s) == (0, None)


def test_turned_away_are_told_among_those_that_asked(watch: Watch, meter: PrometheusMeter, clock: Clock) -> None:
    """Within the minute; those that went by themselves are not."""
    watch.look()
    for reason in ("overload", "unavailable", "client-gone"):
        meter.opened("sse")
        meter.closed("sse", reason)
    clock.now_s += 1
    reading = watch.look()
    assert (reading.asked, reading.turned_away) == (3, 2)
    assert [fault.alert for fault in reading.faults] == ["OrderstreamTurnedAway"]


def test_rates_are_per_second_and_errors_within_the_minute(watch: Watch, meter: PrometheusMeter, clock: Clock) -> None:
    """However long the last look is ago; what a part lost before the first look is not told."""
    meter.database_error("follower")
    watch.look()
    meter.database_error("follower")
    meter.database_error("vitals")
    meter.sent("sse", [EVENT] * 6, size_bytes=60)
    clock.now_s += 2
    reading = watch.look()
    assert (reading.sent_per_s, reading.read_per_s) == (3, 0)
    assert reading.database_errors == {"follower": 1, "vitals": 1}


@pytest.mark.parametrize("transport", ["sse", "poll"])
def test_open_connections_are_told_by_transport(watch: Watch, meter: PrometheusMeter, transport: str) -> None:
    """0 where there never was one."""
    meter.opened(transport)
    assert watch.look().open == {"sse": 0, "poll": 0} | {transport: 1}


def test_canary_is_unknown_where_there_is_none(watch: Watch, meter: PrometheusMeter) -> None:
    """Which is not the same as one that is silent."""
    assert watch.look().latencies["canary"] is None
    meter.canary_watches("sse")
    assert watch.look().latencies["canary"] is not None


def test_canary_that_is_late_is_told_for_a_minute(watch: Watch, meter: PrometheusMeter, clock: Clock) -> None:
    """What does not arrive has no latency; then it is forgotten."""
    watch.look()
    meter.canary_late("sse")
    told = []
    for _ in range(62):
        clock.now_s += 1
        told.append(watch.look().canary_late["sse"])
    assert (told[0], told[59], told[-1]) == (1, 1, 0)


def test_leader_is_here_where_this_process_leads(watch: Watch, meter: PrometheusMeter) -> None:
    """Whatever the last look at the database said; before one it is not known who does."""
    assert watch.look().leader is None
    meter.took_over()
    assert watch.look().leader == "here"
