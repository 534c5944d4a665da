"""The Postgres that was reached: may it be written to, whose epoch is in force, how full is its notification queue, and
how far is its clock from ours."""

import time
from collections.abc import Callable
from typing import NamedTuple

from orderstream.doctor.asking import Asker
from orderstream.doctor.findings import Finding, ok, warning, wrong

REPLICATION, EPOCH, QUEUE, CLOCK = "replication", "epoch", "notify queue", "clock"

# From half on, the triggers do not ring (orderstream.ring), and a full queue fails commits.
_QUEUE_WRONG, _QUEUE_WARNING = 0.5, 0.05

# The goal is 100 ms from the trigger to the socket: a figure that is off by half of it says nothing.
_CLOCK_WARNING_S, _CLOCK_WRONG_S = 0.05, 1.0
_CLOCK_LOOKS = 8


class Cluster(NamedTuple):
    """`queue_usage` is from 0 to 1."""

    version: str
    standby: bool
    read_only: bool
    queue_usage: float


async def look_at(asker: Asker) -> Cluster:
    """One question for all that needs no schema of ours."""
    [row] = await asker.ask("cluster")
    return Cluster(*row)


def check_replication(cluster: Cluster) -> Finding:
    """Nothing can be numbered where nothing can be written."""
    if cluster.standby:
        return wrong(
            REPLICATION,
            "database_url leads to a standby, where nothing can be numbered",
            "let it lead to the primary; with several hosts in the URL add target_session_attrs=read-write",
        )
    if cluster.read_only:
        return wrong(
            REPLICATION,
            "transactions are read-only by default (default_transaction_read_only)",
            "reset it for the service's role and the database",
        )
    return ok(REPLICATION, "the server is a primary and takes writes")


async def check_epoch(asker: Asker, *, led: bool) -> Finding:
    """`led`: whether there is a leader, who begins a new epoch before it numbers anything."""
    rows = await asker.ask("epoch_in_force", "orderstream.postgres")
    if not rows:
        return wrong(EPOCH, "there is none: a restore may be under way", "finish it, then `orderstream new-epoch`")
    [(epoch, in_force)] = rows
    if in_force:
        return ok(EPOCH, f"{epoch} was begun on this cluster and timeline")
    what = f"{epoch} was begun on another cluster or timeline"
    if led:
        return wrong(EPOCH, f"{what}, and the leader goes on with it", "run `orderstream new-epoch`")
    return warning(EPOCH, what, "nothing: the next process that leads begins a new one, and clients are told `reset`")


def check_queue(usage: float) -> Finding:
    """`usage` is from 0 to 1."""
    what = f"{usage:.0%} of the queue of notifications is in use"
    to_do = (
        "end the session that listens and keeps a transaction open: "
        "select pid, xact_start, application_name from pg_stat_activity order by xact_start limit 5"
    )
    if usage >= _QUEUE_WRONG:
        return wrong(QUEUE, f"{what}: the doorbell is silent, and a full queue fails commits", to_do)
    if usage >= _QUEUE_WARNING:
        return warning(QUEUE, f"{what}, which should be next to nothing", to_do)
    return ok(QUEUE, what)


class Offset(NamedTuple):
    """How far the database's clock is ahead of ours in seconds, give or take `uncertainty_s`."""

    ahead_s: float
    uncertainty_s: float


async def measure_offset(asker: Asker, now: Callable[[], float] = time.time) -> Offset:
    """By the quickest of some round trips; `now` is our clock, in seconds since 1970."""
    looks = []
    for _ in range(_CLOCK_LOOKS):
        asked_at = now()
        [(said,)] = await asker.ask("clock")
        answered_at = now()
        looks.append(Offset(said - (asked_at + answered_at) / 2, (answered_at - asked_at) / 2))
    return min(looks, key=lambda look: look.uncertainty_s)


def check_clock(offset: Offset) -> Finding:
    """Only what the time on the way cannot explain counts."""
    side = "ahead of" if offset.ahead_s >= 0 else "behind"
    what = (
        f"the database's is {_span(abs(offset.ahead_s))} {side} this host's, give or take {_span(offset.uncertainty_s)}"
    )
    surely_s = abs(offset.ahead_s) - offset.uncertainty_s
    to_do = "keep both hosts' clocks by NTP (chronyc tracking): latencies are measured between them"
    if surely_s >= _CLOCK_WRONG_S:
        return wrong(CLOCK, what, to_do)
    if surely_s >= _CLOCK_WARNING_S:
        return warning(CLOCK, what, to_do)
    return ok(CLOCK, what)


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
