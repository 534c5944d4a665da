"""Sessions that must be ours alone: a pooler that gives its servers out by the transaction keeps neither LISTEN nor a
session's locks. Nobody would hear of anything, and a lock would stay behind on a server of the pooler's, so that nobody
could lead any more, on whichever process.

Whoever is told another server process than it was greeted by has a pooler in between. Which kind is found by behaviour:
the session is marked by a setting of its own; a second one opens a transaction, which then mostly has the server that a
pooler has just got back; the first looks for its mark, and again after that transaction. Later a look at the mark alone
tells, mostly: whoever else had the server meanwhile marked it too.
"""

import asyncio
import secrets
from contextlib import suppress

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import Session, open_session


class Pooled(DatabaseUnavailable):
    """The session is one of many on a server."""

    def __init__(self) -> None:
        super().__init__(
            "a pooler in between gives servers out by the transaction, so neither locks nor LISTEN last (see pool_mode)"
        )


# Somebody else's server may have come back to the pooler between: seldom so often in a row.
_LOOKS = 5
# A look waits for the second session's transaction where a pooler has only one server.
_LOOK_S = 3.0


class LastingSession(Session):
    """A session that is told from others on the same server."""

    def __init__(self, session: Session) -> None:
        super().__init__(session._connection)
        self._mark = secrets.token_hex(8)
        self.direct = False
        """Whether nobody is in between."""

    async def mark(self) -> None:
        """Once, before anything rests on it."""
        [(pid,)] = await self.fetch(f"set orderstream.session = '{self._mark}'; select pg_catalog.pg_backend_pid()")
        self.direct = pid == self._connection.raw.info.backend_pid

    async def require_mark(self) -> None:
        """Raises Pooled where the server is not the one that was marked, or was marked by others since."""
        if self.direct:
            return
        [(mark,)] = await self.fetch("select pg_catalog.current_setting('orderstream.session', true)")
        if mark != self._mark:
            raise Pooled


async def open_lasting(database_url: str, *, name: str, timeout_s: float, **liveness: int) -> LastingSession:
    """As `open_session`; raises Pooled where the session would not be ours alone."""
    lasting = LastingSession(await open_session(database_url, name=name, timeout_s=timeout_s, **liveness))
    try:
        await lasting.mark()
        if not lasting.direct:
            await _require_own_server(lasting, database_url, timeout_s)
    except BaseException:
        await lasting.close()
        raise
    return lasting


async def _require_own_server(lasting: LastingSession, database_url: str, timeout_s: float) -> None:
    try:
        other = await open_session(database_url, name="look", timeout_s=min(_LOOK_S, timeout_s))
    except DatabaseUnavailable:
        # Not one session more is to be had: no reason to do without this one.
        return
    try:
        await _look(lasting, other)
    finally:
        await other.close()


async def _look(lasting: LastingSession, other: Session) -> None:
    for _ in range(_LOOKS):
        try:
            await other.fetch("begin; select")
        except DatabaseUnavailable:
            # As above: it waits for a server, which it would not where they are lent.
            return
        try:
            async with asyncio.timeout(_LOOK_S):
                await lasting.require_mark()
        except TimeoutError:
            raise Pooled from None
        finally:
            with suppress(DatabaseUnavailable):
                await other.fetch("rollback")
        # Had it another server, that one is now the next to be lent.
        await lasting.require_mark()
