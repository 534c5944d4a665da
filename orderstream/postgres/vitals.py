"""Looks every few seconds at what no event tells: what waits to be numbered or read, whether anybody leads, how full
the notification queue is, and how far the database's clock is from ours."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from orderstream.core.vitals import Vitals
from orderstream.errors import DatabaseUnavailable
from orderstream.ports import Meter
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query

_log = structlog.get_logger()

# More waiting rows than this are not counted: the age says more, and a look must stay cheap.
MAX_WAITING_ROWS = 100_000
# Of so many looks the quickest says what the clocks are apart.
_OFFSETS = 8


class VitalsWatch:
    """Looks every `every_s`. `position` is how far this process followed."""

    def __init__(
        self,
        pool: Pool,
        meter: Meter,
        position: Callable[[], int],
        *,
        every_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._meter = meter
        self._position = position
        self._every_s = every_s
        self._clock = clock
        self._offsets: deque[ClockOffset] = deque(maxlen=_OFFSETS)
        self.last: Vitals | None = None
        """The newest look; None where the last try failed."""
        self.before: Vitals | None = None
        """The one before it, None likewise."""
        self.clock_offset_s = 0.0
        """What the database's clock is ahead of this host's, by the quickest of the last looks."""

    async def run(self) -> None:
        """For ever. May be cancelled."""
        while True:
            try:
                await self.look()
            except DatabaseUnavailable as error:
                if self.last is not None:
                    _log.warning("vitals-unknown", reason=str(error))
                self.last = self.before = None
                self._meter.database_error("vitals")
            await asyncio.sleep(self._every_s * random.uniform(0.9, 1.1))

    async def look(self) -> Vitals:
        """Looks now. Raises DatabaseUnavailable."""
        asked_at = self._clock()
        [row] = await self._pool.fetch(query("look"), {"max_rows": MAX_WAITING_ROWS, "position": self._position()})
        self._offsets.append(ClockOffset.measured(asked_at, row[0], self._clock()))
        self.clock_offset_s = min(self._offsets).seconds
        self.before, self.last = self.last, Vitals(*row[1:])
        return self.last


class ClockOffset(msgspec.Struct, frozen=True, order=True):
    """A measured offset; the one with the smallest error sorts first."""

    error_s: float
    seconds: float

    @classmethod
    def measured(cls, asked_at: float, told: float, answered_at: float) -> "ClockOffset":
        """From one question: our clock before it, the other's in the answer, and ours after it. The other read its
        clock somewhere in between (RFC 5905, section 8), so what lies within is no offset."""
        error_s = abs(answered_at - asked_at) / 2
        seconds = told - (asked_at + answered_at) / 2
        return cls(error_s, seconds if abs(seconds) > error_s else 0.0)
