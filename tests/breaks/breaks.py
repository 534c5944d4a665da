"""The breaks: each step of the path broken on purpose and mended again, and what is said of it where by whom.

A break is an asynchronous context manager: broken within the block, mended after it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import NamedTuple

import psycopg2
from psycopg2 import errors

from tests.breaks.deployment import Deployment
from tests.postgres.feed import insert_order, insert_orders, opened, run
from tests.postgres.roles import SERVICE

# Postgres itself takes 45 MB of it.
DISK_MB = 250
_SEGMENTS = 3


class Said(NamedTuple):
    """What one process at least says, or doctor: `ready` is (check, part of its reason), `doctor` check -> part of what
    it finds. `silence` is part -> why it says nothing, for those that rightly do not; `as_true`
    are alerts that are right too, and whether they fire is chance."""

    ready: tuple[str, str] | None
    canary: str | None  # late | refused
    alerts: frozenset[str]
    doctor: Mapping[str, str]
    silence: Mapping[str, str] = {}
    as_true: frozenset[str] = frozenset()


class Break(NamedTuple):
    """`what` for people; `bounced` and `small_disk` are what the deployment needs. What mends itself within a moment is
    done `again` by whoever did not look in that moment."""

    name: str
    what: str
    done_to: Callable[[Deployment], AbstractAsyncContextManager[None]]
    said: Said
    bounced: bool = False
    small_disk: bool = False
    again: Callable[[Deployment], Awaitable[None]] | None = None


@asynccontextmanager
async def trigger_disabled(at: Deployment) -> AsyncIterator[None]:
    """The one that tells of updates. What was not told makes a new epoch necessary."""
    await told(at.roles.owner, "alter table public.orders disable trigger orderstream_updated")
    yield
    await told(at.roles.owner, "alter table public.orders enable trigger orderstream_updated")
    await told(at.roles.owner, "select orderstream.new_epoch()")


@asynccontextmanager
async def listener_killed(at: Deployment) -> AsyncIterator[None]:
    """Once."""
    await _end_listeners(at)
    yield


@asynccontextmanager
async def listener_kept_away(at: Deployment) -> AsyncIterator[None]:
    """Killed, and no new session is let in."""
    await told(at.roles.admin, f"alter role {SERVICE} connection limit 0")
    try:
        await _end_listeners(at)
        yield
    finally:
        # The role is all databases'.
        await told(at.roles.admin, f"alter role {SERVICE} connection limit -1")


@asynccontextmanager
async def leader_stopped(at: Deployment) -> AsyncIterator[None]:
    """SIGSTOP, and SIGCONT."""
    leader, _ = await at.leader_and_other()
    leader.suspend()
    yield
    leader.resume()


def outbox_filled(orders: int) -> Callable[[Deployment], AbstractAsyncContextManager[None]]:
    """By one statement; it is mended by being worked off."""

    @asynccontextmanager
    async def filled(at: Deployment) -> AsyncIterator[None]:
        def write() -> None:
            with opened(at.roles.writer) as session, session.cursor() as cursor:
                insert_orders(cursor, [f"user-{number}" for number in range(1000)], orders)

        await asyncio.to_thread(write)
        yield

    return filled


@asynccontextmanager
async def disk_full(at: Deployment) -> AsyncIterator[None]:
    """By somebody else's file, which Postgres writes for us and takes back; then orders are written until one fails."""
    # A server that has run for a while has log segments to use again; without any it would stop, and all with it.
    for _ in range(_SEGMENTS):
        at.server.execute("select pg_logical_emit_message(true, 'orderstream', 'a'), pg_switch_wal()")
    at.server.execute("checkpoint")
    ballast = at.server.home / "cluster" / "ballast"
    with suppress(errors.DiskFull):
        at.server.execute(f"copy (select repeat('x', 8000) from generate_series(1, 1000000)) to '{ballast}'")

    def write() -> None:
        with opened(at.roles.writer) as session, session.cursor() as cursor:
            while True:
                insert_order(cursor, "ann")

    with suppress(psycopg2.OperationalError):
        await asyncio.to_thread(write)
    yield
    await asyncio.to_thread(at.server.execute, f"copy (select where false) to '{ballast}'")


@asynccontextmanager
async def pooled_by_transaction(at: Deployment) -> AsyncIterator[None]:
    """pgbouncer is started anew with pool_mode = transaction, and again with session."""
    assert at.bouncer is not None
    await at.bouncer.start("transaction")
    yield
    await at.bouncer.start("session")


async def told(dsn: str, sql: str) -> None:
    """In a thread: what has a lock may be of this very program."""
    await asyncio.to_thread(run, dsn, sql)


async def _end_listeners(at: Deployment) -> None:
    run(
        at.roles.admin,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'orderstream follower' and datname = current_database()",
    )


def breaks(orders: int) -> list[Break]:
    """All of them; `orders` fill the outbox."""
    return [
        Break(
            "trigger",
            "a trigger is disabled (`alter table … disable trigger`)",
            trigger_disabled,
            Said(
                ready=None,
                canary="late",
                alerts=frozenset({"OrderstreamCanaryLate"}),
                doctor={"triggers": "orderstream_updated on public.orders: disabled"},
                silence={"ready": "no other process tells more, and what is read from the tables is right"},
            ),
        ),
        Break(
            "listener",
            "the listeners' backends are killed (`pg_terminate_backend`)",
            listener_killed,
            Said(
                ready=("follower", "it cannot listen for events"),
                canary=None,
                alerts=frozenset(),
                doctor={},
                silence={
                    "canary": "the listeners are back before a change is late",
                    "alert": "it mended itself: nobody need come",
                    "doctor": "it mended itself",
                },
            ),
            again=_end_listeners,
        ),
        Break(
            "listener-kept-away",
            "the listeners' backends are killed and let in no more (`connection limit 0`)",
            listener_kept_away,
            Said(
                ready=("follower", "it cannot listen for events"),
                canary="late",
                alerts=frozenset({"OrderstreamFollowerDisconnected", "OrderstreamCanaryLate"}),
                doctor={"database": "too many connections for role"},
            ),
        ),
        Break(
            "leader",
            "the leader is stopped (SIGSTOP)",
            leader_stopped,
            Said(
                ready=("", "no answer"),
                canary="late",
                alerts=frozenset({"OrderstreamCanaryLate", "OrderstreamProcessDown"}),
                doctor={"service": "it is stopped, or hangs"},
            ),
        ),
        Break(
            "outbox",
            "the outbox is filled by one large statement",
            outbox_filled(orders),
            Said(
                ready=None,
                canary=None,
                alerts=frozenset({"OrderstreamOutboxWaits"}),
                doctor={"outbox": "rows wait for a number"},
                silence={
                    "ready": "numbers are given as fast as can be, and no other process would be faster",
                    "canary": "what others change meanwhile goes ahead of what waits",
                },
            ),
        ),
        Break(
            "disk",
            "the disk of the database is full",
            disk_full,
            Said(
                ready=("sequencer", "No space left on device"),
                canary="late",
                alerts=frozenset({"OrderstreamCanaryLate"}),
                doctor={"canary": "No space left on device"},
                as_true=frozenset({"OrderstreamSequencerMissing"}),
            ),
            small_disk=True,
        ),
        Break(
            "pgbouncer",
            "pgbouncer between is put into transaction mode",
            pooled_by_transaction,
            Said(
                ready=("follower", "a pooler in between gives servers out by the transaction"),
                canary="late",
                alerts=frozenset(
                    {"OrderstreamFollowerDisconnected", "OrderstreamSequencerMissing", "OrderstreamCanaryLate"}
                ),
                doctor={"sessions": "a pooler in between gives servers out by the transaction"},
            ),
            bounced=True,
        ),
    ]
