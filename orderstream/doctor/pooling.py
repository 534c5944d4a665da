"""Whether a session is ours alone, found by behaviour as the service itself finds it, and whether notifications reach
it."""

import secrets

from orderstream.doctor.findings import Finding, ok, wrong
from orderstream.postgres.connections import Session, open_session
from orderstream.postgres.pooling import Pooled, open_lasting

SESSIONS = "sessions"

_NOTIFIED_S = 3.0
_TIMEOUT_S = 3.0
_TO_DO = (
    "let database_url lead to Postgres itself, or to a pooler in session mode (pgbouncer: pool_mode = session for this "
    "database): the service needs only some sessions a process"
)


async def check_sessions(database_url: str) -> Finding:
    """Leaves no lock and no LISTEN behind, on whichever server they came to be."""
    try:
        first = await open_lasting(database_url, name="doctor", timeout_s=_TIMEOUT_S)
    except Pooled as error:
        return wrong(SESSIONS, str(error), _TO_DO)
    try:
        second = await open_session(database_url, name="doctor", timeout_s=_TIMEOUT_S)
        try:
            return await _between(first, second)
        finally:
            await second.close()
    finally:
        await first.close()


async def _between(first: Session, second: Session) -> Finding:
    # Of nobody else's choosing: it is in nobody's way.
    channel = f"orderstream_doctor_{secrets.token_hex(4)}"
    await first.fetch(f"listen {channel}")
    await second.fetch(f"notify {channel}")
    heard = await first.notified(_NOTIFIED_S)
    await first.fetch(f"unlisten {channel}")
    if not heard:
        return wrong(SESSIONS, f"a notification did not come within {_NOTIFIED_S:g} s: LISTEN does not last", _TO_DO)
    return ok(SESSIONS, "they last from statement to statement, and notifications come through")
