"""What is wrong by a reading: the step to blame, in words, and the alert whose runbook helps."""

from typing import Any

import msgspec
import pytest

from orderstream.metrics.faults import faults
from orderstream.metrics.reading import Latency, Percentiles, Reading
from tests.prometheus.watching import alerts

IN_TIME = Latency(last=None, minute=Percentiles(count=100, p50_s=0.004, p99_s=0.02, in_time=1.0))
LATE = Latency(last=None, minute=Percentiles(count=100, p50_s=0.2, p99_s=0.9, in_time=0.5))
FEW = Latency(last=None, minute=Percentiles(count=5, p50_s=0.2, p99_s=0.9, in_time=0.0))
SILENT = Latency(last=None, minute=None)

WELL = Reading(
    at_s=1000.0,
    span_s=60.0,
    started_at_s=0.0,
    version="1",
    checks=dict.fromkeys(("database", "schema", "sequencer", "follower", "revocations", "draining")),
    leader="here",
    following=True,
    read_per_s=10.0,
    sent_per_s=10.0,
    latencies=dict.fromkeys(("numbered", "read", "sent", "canary", "loop"), IN_TIME),
    canary_late={"sse": 0.0, "poll": 0.0},
    asked=10.0,
    turned_away=0.0,
    open={"sse": 100.0, "poll": 1.0},
    slow=0.0,
    outbox_waiting_rows=0.0,
    outbox_oldest_s=0.0,
    behind_s=0.0,
    database_errors={"canary": 0.0},
    cpu_share=0.1,
    memory_bytes=1e8,
)


def but(**changes: Any) -> Reading:
    """All is well but for these; checks and latencies are put in among the good ones."""
    for key in {"checks", "latencies"} & changes.keys():
        changes[key] = getattr(WELL, key) | changes[key]
    return msgspec.structs.replace(WELL, **changes)


ILL = {
    "database silent": (but(checks={"database": "away"}), "Postgres", "OrderstreamDatabaseSilent"),
    "migration missing": (but(checks={"schema": "old"}), "Postgres", None),
    "nobody leads": (but(checks={"sequencer": "none"}, leader="nobody"), "Sequencer", "OrderstreamSequencerMissing"),
    "outbox waits": (but(checks={"sequencer": "they wait"}), "Sequencer", "OrderstreamOutboxWaits"),
    "follower cut off": (
        but(checks={"follower": "cut"}, following=False),
        "Follower",
        "OrderstreamFollowerDisconnected",
    ),
    "follower behind": (but(checks={"follower": "late"}), "Follower", "OrderstreamFollowerBehind"),
    "revocations unheard": (but(checks={"revocations": "deaf"}), "Revocations", None),
    "no keys": (but(checks={"jwks": "none"}), "Log-in keys", None),
    "draining": (but(checks={"draining": "it stops"}), "This process", None),
    "numbered late": (but(latencies={"numbered": LATE, "read": LATE}), "Sequencer", "OrderstreamFollowedLate"),
    "read late": (but(latencies={"read": LATE, "sent": LATE}), "Follower", "OrderstreamFollowedLate"),
    "read late elsewhere": (
        but(latencies={"numbered": SILENT, "read": LATE}, leader="elsewhere"),
        "Sequencer or follower",
        "OrderstreamFollowedLate",
    ),
    "sent late": (but(latencies={"sent": LATE}), "Sockets", "OrderstreamSentLate"),
    "loop late": (but(latencies={"loop": LATE}), "This process", "OrderstreamLoopLate"),
    "errors": (but(database_errors={"canary": 4.0}), "Postgres", "OrderstreamDatabaseErrors"),
    "turned away": (but(turned_away=1.0), "Admission", "OrderstreamTurnedAway"),
    "clients slow": (but(slow=11.0), "Clients", "OrderstreamStreamsSlow"),
    "trigger off": (but(canary_late={"sse": 1.0, "poll": 1.0}), "Triggers", "OrderstreamCanaryLate"),
    "one transport": (but(canary_late={"sse": 0.0, "poll": 1.0}), "Transport poll", "OrderstreamCanaryLate"),
    "canary silent": (but(latencies={"canary": SILENT}), "Canary", "OrderstreamCanarySilent"),
}


@pytest.mark.parametrize(("reading", "step", "alert"), ILL.values(), ids=ILL)
def test_step_is_blamed_by_the_alert_that_would_fire(reading: Reading, step: str, alert: str | None) -> None:
    """One fault, as severe as that alert is in config/rules.yml."""
    [fault] = faults(reading)
    assert (fault.step, fault.alert) == (step, alert)
    if alert is not None:
        assert fault.severity == alerts()[alert]["labels"]["severity"]


def test_canary_that_is_late_blames_no_trigger_when_a_later_step_is_at_fault() -> None:
    """It only says that users feel it."""
    reading = but(canary_late={"sse": 2.0, "poll": 2.0}, checks={"sequencer": "none"}, leader="nobody")
    assert [fault.step for fault in faults(reading)] == ["Sequencer", "Whole path"]


def test_process_without_time_is_blamed_for_the_steps_that_it_does() -> None:
    """Its sequencer and follower are late because its loop is."""
    reading = but(latencies={"numbered": LATE, "read": LATE, "sent": LATE, "loop": LATE})
    assert [(fault.step, fault.alert) for fault in faults(reading)] == [
        ("This process", "OrderstreamFollowedLate"),
        ("This process", "OrderstreamLoopLate"),
    ]


def test_what_wakes_somebody_comes_before_what_can_wait() -> None:
    """And the earlier step before the later one."""
    reading = but(database_errors={"vitals": 9.0}, turned_away=5.0, checks={"database": "away", "draining": "it stops"})
    assert [fault.step for fault in faults(reading)] == ["Postgres", "Admission", "This process", "Postgres"]


@pytest.mark.parametrize(
    "reading",
    [
        WELL,
        but(latencies={"read": FEW, "sent": FEW}),
        but(latencies={"canary": SILENT}, span_s=20.0),
        but(latencies={"canary": None}, canary_late={}),
    ],
    ids=["well", "few events", "just opened", "no canary"],
)
def test_nothing_is_blamed_when_nothing_is_known_to_be_wrong(reading: Reading) -> None:
    """A share of few says nothing, nor does a minute that was not looked at."""
    assert faults(reading) == []
