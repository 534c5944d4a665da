"""The open deliveries of all processes, each written by its own, in batches and never in the way of a client.

A process writes what changed, at most once in `session_write_s` and in one statement; nothing when nothing changed but
a sign of life every `session_beat_s`. What another process had sent may be known here as late as that.
"""

import asyncio
import random
import uuid
from collections.abc import Sequence

import msgspec
import structlog

from orderstream.core.claims import Identity
from orderstream.errors import DatabaseUnavailable
from orderstream.ports import Meter
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query
from orderstream.sessions import Changes, ListedDelivery, OpenDelivery, Sessions

_log = structlog.get_logger()

# Deliveries in one statement: ten thousand reconnects are ten, and none holds up the loop for long.
_MAX_ROWS = 1000
# More than a user has; the newest are shown.
_MAX_LISTED = 200
# A process that missed so many signs of life is gone.
_UNSEEN_BEATS = 3
# Revocations of sessions that were not open: idle ones, or made up. Every process keeps each in memory; whoever ended
# so many within `revocation_keep_s` is not tidying up. Of those that were open there are no more than logins.
_MAX_UNKNOWN_PER_USER = 1000


class SessionSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    session_write_s: float = 1.0
    session_beat_s: float = 10.0
    revocation_keep_s: float = 2_592_000.0
    jwt_leeway_s: float = 30.0


class PostgresSessions:
    """The port SessionStore, and what writes this process's part of it."""

    def __init__(self, pool: Pool, sessions: Sessions, settings: SessionSettings, meter: Meter) -> None:
        self._pool = pool
        self._sessions = sessions
        self._settings = settings
        self._meter = meter
        self._node_id = str(uuid.uuid4())
        self._beat_due = 0.0
        self._was_seen = False

    async def run(self) -> None:
        """For ever. May be cancelled."""
        every_s, beat_s = self._settings.session_write_s, self._settings.session_beat_s
        while True:
            # Jittered, since processes are started together.
            await asyncio.sleep(every_s * random.uniform(0.9, 1.1))
            self._sessions.sweep()
            self._sessions.look_at_cursors(every_s / beat_s)
            try:
                await self.write()
            except DatabaseUnavailable as error:
                self._meter.database_error("sessions")
                _log.warning("sessions-not-written", reason=str(error))
            except Exception as error:  # noqa: BLE001 - the top of a background task: a list of devices ends no stream
                _log.error("sessions-failed", exc_info=error)

    async def write(self) -> None:
        """Writes what changed, or a sign of life where one is due. Raises DatabaseUnavailable; nothing is lost then."""
        changes = self._sessions.take_changes(_MAX_ROWS)
        now = asyncio.get_running_loop().time()
        if not any(changes) and now < self._beat_due:
            return
        try:
            [(unknown,)] = await self._pool.fetch(query("write_deliveries"), self._parameters(changes))
        except BaseException:
            self._sessions.put_back(changes)
            raise
        self._beat_due = now + self._settings.session_beat_s
        if unknown and self._was_seen:
            # The server crashed, or we were stopped for so long that we were taken for gone.
            self._sessions.tell_all_again()
        self._was_seen = True

    async def leave(self) -> None:
        """Takes this process's deliveries out, where the database answers at once; nothing where it wrote none."""
        if not self._was_seen:
            return
        try:
            async with asyncio.timeout(1.0):
                await self._pool.fetch(query("leave_node"), {"node_id": self._node_id})
        except (DatabaseUnavailable, TimeoutError) as error:
            _log.info("sessions-left-behind", reason=str(error))

    async def open_elsewhere(self, user_id: str) -> Sequence[ListedDelivery]:
        unseen_s = self._settings.session_beat_s * _UNSEEN_BEATS
        rows = await self._pool.fetch(
            query("open_elsewhere"),
            {"user_id": user_id, "node_id": self._node_id, "unseen_s": unseen_s, "max_rows": _MAX_LISTED},
        )
        return [ListedDelivery(*row) for row in rows]

    async def revoke(self, by: Identity, session_id: str) -> None:
        rows = await self._pool.fetch(
            query("revoke"),
            {
                "user_id": by.user_id,
                "session_id": session_id,
                "ended_by": by.session_id,
                # What was opened a moment ago is not written yet.
                "open": any(each.session_id == session_id for each in self._sessions.of_user(by.user_id)),
                # No JWT may be good for longer; a clock may be off when it is issued, and when it ends.
                "keep_s": self._settings.revocation_keep_s + 2 * self._settings.jwt_leeway_s,
                "most": _MAX_UNKNOWN_PER_USER,
            },
        )
        # The others hear of it; this process need not wait for that.
        for ended, kept_until, _ in rows:
            self._sessions.revoke(by.user_id, ended, kept_until)

    def _parameters(self, changes: Changes) -> dict[str, object]:
        # One text rather than thousands of values, which the driver would quote one by one while the loop stands.
        opened = msgspec.json.encode([_row(delivery) for delivery in changes.opened]).decode()
        return {"node_id": self._node_id, "opened": opened, "closed": changes.closed}


def _row(delivery: OpenDelivery) -> dict[str, object]:
    return {"number": delivery.number, "user_id": delivery.identity.user_id, **delivery.listed()._asdict()}
