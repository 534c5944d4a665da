"""Removes what nobody needs any more, in small batches and never where an order writes: numbered outbox rows, old
checkpoints, events, tickets and revocations past their time, processes that are gone. Runs where the sequencer
leads."""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from orderstream.errors import DatabaseUnavailable
from orderstream.ports import Meter
from orderstream.postgres.connections import Row
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query

_log = structlog.get_logger()

# Between batches, so that deletes take a small share of the disk.
_PAUSE_S = 0.02
# The newest event of an idle user is passed over and stays; so often are the passed-over ones looked at again.
_FULL_SWEEP_S = 3600.0
_RARELY_S = 60.0


class RetentionSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    retention_every_s: float = 10.0
    retention_events_s: float = 604_800.0
    retention_batch_rows: int = 1000
    session_beat_s: float = 10.0


class Retention:
    """Sweeps every `retention_every_s` while `leading()`."""

    def __init__(self, pool: Pool, settings: RetentionSettings, leading: Callable[[], bool], meter: Meter) -> None:
        self._pool = pool
        self._settings = settings
        self._leading = leading
        self._meter = meter
        self._outbox_from = "0"
        self._events_after = 0
        self._swept_whole_at = 0.0
        self._rarely_due = 0.0

    async def run(self) -> None:
        """For ever. May be cancelled."""
        while True:
            await asyncio.sleep(self._settings.retention_every_s)
            if self._leading():
                try:
                    await self.sweep()
                except DatabaseUnavailable as error:
                    self._meter.database_error("retention")
                    _log.warning("retention-interrupted", reason=str(error))

    async def sweep(self) -> None:
        """Removes all that is due now. Raises DatabaseUnavailable; what was removed until then stays removed."""
        now = asyncio.get_running_loop().time()
        if now - self._swept_whole_at > _FULL_SWEEP_S:
            # From the very beginning: also for a restore that set the numbers back.
            self._outbox_from, self._events_after, self._swept_whole_at = "0", 0, now
        await self._sweep_outbox()
        await self._sweep_checkpoints()
        await self._sweep_events()
        await self._sweep_rarely()

    async def _sweep_outbox(self) -> None:
        gone = self._settings.retention_batch_rows
        while gone == self._settings.retention_batch_rows:
            [(gone, self._outbox_from)] = await self._batch("delete_outbox", "outbox", from_xid=self._outbox_from)

    async def _sweep_checkpoints(self) -> None:
        gone = self._settings.retention_batch_rows
        while gone == self._settings.retention_batch_rows:
            [(gone,)] = await self._batch("delete_checkpoints", "checkpoints")

    async def _sweep_events(self) -> None:
        while True:
            [(_, after)] = await self._batch(
                "delete_events", "events", after=self._events_after, older_s=self._settings.retention_events_s
            )
            if after is None:
                return
            self._events_after = after

    async def _sweep_rarely(self) -> None:
        """What is few, and in nobody's way: an idle service should ask little."""
        now = asyncio.get_running_loop().time()
        if now < self._rarely_due:
            return
        for table in ("tickets", "revocations"):
            gone = self._settings.retention_batch_rows
            while gone == self._settings.retention_batch_rows:
                [(gone,)] = await self._batch(f"delete_{table}", table)
        nodes = 1
        while nodes:
            [(nodes, _)] = await self._batch("delete_nodes", "nodes", unseen_s=6 * self._settings.session_beat_s)
        self._rarely_due = now + _RARELY_S

    async def _batch(self, name: str, table: str, **parameters: object) -> list[Row]:
        rows = await self._pool.fetch(query(name), {"max_rows": self._settings.retention_batch_rows, **parameters})
        if rows[0][0]:
            self._meter.retired(table, rows[0][0])
            await asyncio.sleep(_PAUSE_S)
        return rows
