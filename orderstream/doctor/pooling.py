"""Whether a session is ours alone, found by behaviour: a pooler that gives its servers out by the transaction keeps
neither LISTEN nor a session's locks, without which nobody can lead and nobody hears.

Two sessions take turns. The first takes a lock; the second opens a transaction, which is then the one to get the
server that a pooler has just got back; the first looks for its lock. Last, the second notifies the first.
"""

import secrets

from orderstream.doctor.findings import Finding, ok, wrong
from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import Session, open_session

SESSIONS = "sessions"

_NOTIFIED_S = 3.0
# The second statement waits for the second session's transaction where a pooler has only one server.
_TIMEOUT_S = 3.0
_TO_DO = (
    "let database_url lead to Postgres itself, or to a pooler in session mode (pgbouncer: pool_mode = session for this "
    "database): the service needs only some sessions a process"
)
_LOCK = "select pg_catalog.pg_try_advisory_lock({key}), pg_catalog.pg_backend_pid()"
_LOCKED = (
    "select pg_catalog.pg_backend_pid(), exists (select from pg_catalog.pg_locks where locktype = 'advisory' "
    "and pid = pg_catalog.pg_backend_pid() and classid = 0 and objid = {key})"
)


async def check_sessions(database_url: str) -> Finding:
    """Leaves no lock and no LISTEN behind, on whichever server they came to be."""
    first = await open_session(database_url, name="doctor", timeout_s=_TIMEOUT_S)
    try:
        second = await open_session(database_url, name="doctor", timeout_s=_TIMEOUT_S)
        try:
            return await _between(first, second)
        finally:
            await second.close()
    finally:
        await first.close()


async def _between(first: Session, second: Session) -> Finding:
    # Of nobody else's choosing: what a pooler keeps of it is in nobody's way.
    key = 1 + secrets.randbelow(2**31 - 1)
    channel = f"orderstream_doctor_{key}"
    undo = f"select pg_catalog.pg_advisory_unlock({key}); unlisten {channel}"
    await first.fetch(f"listen {channel}")
    [(_, locked_on)] = await first.fetch(_LOCK.format(key=key))
    await second.fetch("begin")
    try:
        [(asked_on, kept)] = await first.fetch(_LOCKED.format(key=key))
    except DatabaseUnavailable:
        await _clean(second, undo)
        return wrong(
            SESSIONS, "a session has to wait until another's transaction ends: a pooler has one server for both", _TO_DO
        )
    # Within the transaction this one surely is on the server that it began on.
    await second.fetch(f"{undo}; commit")
    if asked_on != locked_on or not kept:
        return wrong(
            SESSIONS,
            f"a session's advisory lock is gone by its next statement (taken on the server process {locked_on}, looked "
            f"for on {asked_on}): a pooler gives servers out by the transaction",
            _TO_DO,
        )
    await second.fetch(f"notify {channel}")
    heard = await first.notified(_NOTIFIED_S)
    await first.fetch(undo)
    if not heard:
        return wrong(SESSIONS, f"a notification did not come within {_NOTIFIED_S:g} s: LISTEN does not last", _TO_DO)
    return ok(SESSIONS, "advisory locks last from statement to statement, and notifications come through")


async def _clean(second: Session, undo: str) -> None:
    """The first session was closed with its query under way; its lock is where the second one is."""
    await second.fetch(f"{undo}; commit")
