"""Whether what is in the outbox gets its numbers, and soon: the leader, the doorbell that wakes it, what waits."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from orderstream.doctor.asking import Asker
from orderstream.doctor.findings import Finding, ok, warning, wrong
from orderstream.settings import Settings

LEADER, DOORBELL, OUTBOX = "leader", "doorbell", "outbox"

_LEADERS_LOCK, _DOORBELLS_LOCK, _EARS = 0, 1, 2
_LOOK_AGAIN_S = 0.2
# What lasts so long is no coincidence any more.
_STILL_S = 1.0
_WAITING_WRONG_S = 10.0
# Retention looks every few seconds; it may be behind once, not ten times.
_SWEEPS = 10
_LEAST_KEPT_S = 60.0
_SEQUENCER = "orderstream sequencer"
# queries/outbox.sql looks at no more rows.
_MOST_COUNTED = 100_000


class Lock(NamedTuple):
    """One that is granted, or EARS that are waited for. `transaction` tells the transactions of a session apart."""

    number: int
    pid: int
    exclusive: bool
    transaction: str
    program: str
    role: str

    @property
    def holder(self) -> str:
        return f"the session {self.pid} ({self.program or 'without a name'}, role {self.role or 'unknown'})"


class Bell(NamedTuple):
    """Whether triggers ring, what decides it, and the roles whose sessions never do."""

    rings: bool
    max_prepared_transactions: str
    setting: str
    quiet_roles: Sequence[str]


class Outbox(NamedTuple):
    """Rows without a number, the age of the oldest, and the age of the oldest row of all, None where there is none;
    and the position of the newest number."""

    waiting: int
    waiting_s: float | None
    kept_s: float | None
    position: int


async def locks(asker: Asker) -> list[Lock]:
    return [Lock(*row) for row in await asker.ask("locks")]


async def leader_of(asker: Asker, settings: Settings) -> Lock | None:
    """Whoever holds the leader's lock; waited for as long as a hand-over takes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 1.5 * settings.election_s
    while True:
        for lock in await locks(asker):
            if lock.number == _LEADERS_LOCK:
                return lock
        if loop.time() > deadline:
            return None
        await asyncio.sleep(_LOOK_AGAIN_S)


def check_leader(leader: Lock | None) -> Finding:
    """Nothing is numbered without one."""
    if leader is None:
        return wrong(
            LEADER,
            "no process leads, so nothing is numbered and nobody is told anything",
            "start `orderstream serve`; where it runs, its log says why it cannot lead",
        )
    if leader.program != _SEQUENCER:
        return wrong(
            LEADER,
            f"{leader.holder} holds the leader's lock and is no sequencer of ours: nobody can lead",
            f"select pg_terminate_backend({leader.pid})",
        )
    return ok(LEADER, f"the session {leader.pid} of {leader.role} leads")


async def deafened(asker: Asker, check: str) -> list[Finding]:
    """Findings of `check`: who keeps processes from hearing of events. The leader does, for as long as it writes."""
    return [
        wrong(
            check,
            f"{lock.holder} takes the lock that all processes share to hear of events: what connects now hears none",
            f"select pg_terminate_backend({lock.pid}), and see that it does not come again",
        )
        for lock in await locks(asker)
        if lock.number == _EARS and lock.program != _SEQUENCER
    ]


async def check_doorbell(asker: Asker, settings: Settings, leader: Lock | None) -> list[Finding]:
    """Whether it rings, and whether only the leader sleeps on it."""
    [row] = await asker.ask("doorbell")
    found = judge_bell(Bell(*row), settings)
    held = [lock for lock in await locks(asker) if lock.number == _DOORBELLS_LOCK]
    found += [_taken(lock) for lock in held if lock.exclusive and (leader is None or lock.pid != leader.pid)]
    if shared := {lock.transaction for lock in held if not lock.exclusive}:
        await asyncio.sleep(_STILL_S)
        found += [_kept_awake(lock) for lock in await locks(asker) if not lock.exclusive and lock.transaction in shared]
    return found or [ok(DOORBELL, "triggers ring, and only the leader sleeps on it")]


def judge_bell(bell: Bell, settings: Settings) -> list[Finding]:
    """Silence is no error, as it is somebody's choice, but it costs latency and queries."""
    polled = f"the sequencer asks every {settings.doorbell_poll_max_s:g} s instead of sleeping"
    found = []
    if not bell.rings and bell.setting == "off":
        found.append(
            warning(
                DOORBELL,
                f"orderstream.doorbell is off: {polled}",
                "alter database … reset orderstream.doorbell, and restart the service and the order service",
            )
        )
    elif not bell.rings:
        found.append(
            warning(
                DOORBELL,
                f"triggers do not ring, since max_prepared_transactions is {bell.max_prepared_transactions}: {polled}",
                "if orders are never written in two-phase commits: alter database … set orderstream.doorbell = 'on', "
                "and restart",
            )
        )
    if bell.quiet_roles:
        found.append(
            warning(
                DOORBELL,
                f"orderstream.doorbell is off for {', '.join(bell.quiet_roles)}: what they write is found after "
                f"{settings.safety_net_s:g} s (safety_net_s)",
                "alter role … reset orderstream.doorbell",
            )
        )
    return found


async def check_outbox(asker: Asker, settings: Settings, leader: Lock | None) -> list[Finding]:
    """Looks again where something waits: a transaction that was long may have ended this moment."""
    outbox = before = Outbox(*(await asker.ask("outbox"))[0])
    if outbox.waiting_s is not None and outbox.waiting_s > _STILL_S:
        await asyncio.sleep(_STILL_S)
        outbox = Outbox(*(await asker.ask("outbox"))[0])
    return judge_outbox(outbox, settings, leader, outbox.position - before.position)


def judge_outbox(outbox: Outbox, settings: Settings, leader: Lock | None, numbered: int) -> list[Finding]:
    """Ages in seconds on the database's clock; `numbered` is how many numbers were given within a second."""
    found = []
    if outbox.waiting_s is not None and outbox.waiting_s > _STILL_S:
        judge = wrong if outbox.waiting_s > _WAITING_WRONG_S else warning
        found.append(
            judge(
                OUTBOX,
                f"{outbox.waiting}{_or_more(outbox)} rows wait for a number, the oldest for {outbox.waiting_s:.0f} s",
                _until_numbered(outbox, leader, numbered),
            )
        )
    most_s = max(_LEAST_KEPT_S, _SWEEPS * settings.retention_every_s)
    if outbox.kept_s is not None and outbox.kept_s > most_s and not found:
        found.append(
            warning(
                OUTBOX,
                f"numbered rows are still there after {outbox.kept_s:.0f} s: retention does not keep up",
                "look for a transaction that is open as long, which keeps them: select pid, xact_start, "
                "application_name from pg_stat_activity order by xact_start limit 5",
            )
        )
    return found or [ok(OUTBOX, f"{outbox.waiting} rows wait for a number")]


def _until_numbered(outbox: Outbox, leader: Lock | None, numbered: int) -> str:
    if numbered:
        return (
            f"wait: {numbered} a second get theirs, so these take {outbox.waiting / numbered:.0f}{_or_more(outbox)} s; "
            "what others change goes ahead of a large change, and another leader would be no faster"
        )
    if leader is None:
        return "let a process lead"
    return (
        "look into the log of the process that leads: the disk may be full; if it hangs, "
        f"select pg_terminate_backend({leader.pid}) lets another take over"
    )


def _or_more(outbox: Outbox) -> str:
    return " or more" if outbox.waiting >= _MOST_COUNTED else ""


def _taken(lock: Lock) -> Finding:
    return wrong(
        DOORBELL,
        f"{lock.holder} holds it and does not lead: every order rings, and the sequencer cannot sleep",
        f"select pg_terminate_backend({lock.pid}), and see that it does not come again",
    )


def _kept_awake(lock: Lock) -> Finding:
    return warning(
        DOORBELL,
        f"an order transaction of {lock.holder} stays open: the sequencer cannot sleep, and what it wrote comes late",
        "commit or end it; set idle_in_transaction_session_timeout for the order service's role",
    )
