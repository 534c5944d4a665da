"""Hears of every session that is revoked, on whichever process, and enters it here.

LISTEN first, then read all, then trust notifications: so nothing is missed over a lost connection. A notification names
a row and is sent with its commit; reading by a highest id instead would step over whoever commits late.

While the session is lost this process does not know who was logged out, and shows nothing new to anybody: the store and
the follower wait for `connected`. That it is lost is told by the kernel, which costs the server no query.
"""

import asyncio
from collections.abc import Sequence

import structlog

from orderstream.errors import DatabaseUnavailable
from orderstream.ports import Meter
from orderstream.postgres.connections import PREPARE, Row, Session
from orderstream.postgres.pooling import open_lasting
from orderstream.postgres.queries import query
from orderstream.sessions import Sessions

_log = structlog.get_logger()

_RETRY_S = 0.25
_PAGE_ROWS = 5000
# A peer that vanished is noticed within 3 s, by the kernel: for so long a logged-out session may still be shown events.
_LIVENESS = {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 2, "tcp_user_timeout": 3000}
# How often it is made sure that notifications come through, where the connection itself seems well.
_PROBE_S = 30.0
_PROBE = "probe"
# As many digits as every id has; anybody may notify, so what comes is not trusted.
_MAX_DIGITS = 18


class RevocationListener:
    """One per process, on a session of its own: a follower that is catching up must not delay a revocation."""

    def __init__(self, database_url: str, sessions: Sessions, meter: Meter, *, timeout_s: float) -> None:
        self._database_url = database_url
        self._sessions = sessions
        self._meter = meter
        self._timeout_s = timeout_s
        # Set while all revocations are known here: nothing may be shown that is read while it is not.
        self.connected = asyncio.Event()
        self._failure = "there was no connection yet"

    @property
    def trouble(self) -> str | None:
        """Why none are heard of; None where they are."""
        return None if self.connected.is_set() else self._failure

    async def run(self) -> None:
        """Listens for ever; every failure is answered by a new connection. May be cancelled."""
        while True:
            try:
                await self._listen()
            except DatabaseUnavailable as error:
                if self.connected.is_set():
                    _log.warning("revocations-disconnected", reason=str(error))
                self.connected.clear()
                self._failure = str(error)
                self._meter.database_error("revocations")
                await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        session = await open_lasting(self._database_url, name="revocations", timeout_s=self._timeout_s, **_LIVENESS)
        try:
            await session.fetch(f"{PREPARE}; listen orderstream_revocations")
            known = await self._read_all(session)
            self.connected.set()
            _log.info("revocations-connected", revocations=known)
            while True:
                await self._read(session, await self._heard(session))
        finally:
            await session.close()

    async def _heard(self, session: Session) -> Sequence[str]:
        """Payloads, at least one. Raises DatabaseUnavailable where not even our own comes through."""
        if payloads := await session.notified(_PROBE_S):
            return payloads
        await session.fetch("select pg_notify('orderstream_revocations', %(probe)s)", {"probe": _PROBE})
        if payloads := await session.notified(self._timeout_s):
            return payloads
        raise DatabaseUnavailable("notifications do not come through")

    async def _read_all(self, session: Session) -> int:
        after, count = 0, 0
        while rows := await session.fetch(query("revocations_after"), {"after": after, "max_rows": _PAGE_ROWS}):
            self._enter(rows)
            after, count = rows[-1][0], count + len(rows)
        return count

    async def _read(self, session: Session, payloads: Sequence[str]) -> None:
        ids = [int(text) for text in payloads if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS]
        if ids:
            self._enter(await session.fetch(query("revocations"), {"ids": ids}))

    def _enter(self, rows: Sequence[Row]) -> None:
        for _, user_id, session_id, kept_until in rows:
            self._sessions.revoke(user_id, session_id, kept_until)
