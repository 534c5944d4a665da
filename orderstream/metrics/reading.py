"""What the status page is told at one look."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

# What an event may take, by the promise in config/rules.yml.
PROMISED_S = 0.1


class Percentiles(msgspec.Struct, frozen=True):
    """Of `count` values."""

    count: int
    p50_s: float
    p99_s: float
    in_time: float
    """Share of them, 0 to 1, that took PROMISED_S at most."""


class Latency(msgspec.Struct, frozen=True):
    """None where nothing happened."""

    last: Percentiles | None
    minute: Percentiles | None


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, the step of an event's way that is to blame, and the alert whose runbook says what to do."""

    severity: Literal["page", "ticket"]
    """As in config/rules.yml: users are not served, or it can wait for the morning."""
    step: str
    says: str
    alert: str | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is None is not known now; a rate is so at the first look, a latency where it is not measured."""

    at_s: float
    span_s: float
    """How much of the minute was looked at."""
    started_at_s: float | None
    version: str
    faults: Sequence[Fault] = ()
    checks: Mapping[str, str | None]
    leader: Literal["here", "elsewhere", "nobody"] | None
    following: bool
    read_per_s: float | None
    sent_per_s: float | None
    latencies: Mapping[str, Latency | None]
    canary_late: Mapping[str, float]
    """By transport, within the last minute."""
    asked: float
    """Deliveries begun within the last minute."""
    turned_away: float
    """Of them, for want of room or of the database."""
    open: Mapping[str, float]
    slow: float
    outbox_waiting_rows: float | None
    outbox_oldest_s: float | None
    behind_s: float | None
    database_errors: Mapping[str, float]
    """By part, within the last minute."""
    cpu_share: float | None
    memory_bytes: float | None
