"""The end of a credential on an open connection: announced ahead, then told, and put off by a fresh one."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """What `call_later` gives."""

    def cancel(self) -> None: ...


class Expiry:
    """Calls `expiring(left_s)` so long before the end as `announce_s` says (0: never), and `expired()` at it.

    `renew` is the seat for a transport that takes a new JWT in place: it may be called as often as one comes.
    `leeway_s` is granted to a credential that is over already and was let in for our clocks' sake.
    """

    def __init__(
        self,
        *,
        announce_s: float,
        leeway_s: float,
        expiring: Callable[[float], None],
        expired: Callable[[], None],
        now: Callable[[], float] = time.time,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._announce_s = announce_s
        self._leeway_s = leeway_s
        self._expiring = expiring
        self._expired = expired
        self._now = now
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._timer: Timer | None = None
        self._ends_at = 0.0
        self._announced = False

    def renew(self, expires_at: float) -> None:
        """From now on the credential is good until `expires_at` (seconds since 1970)."""
        self._ends_at = expires_at if expires_at > self._now() else expires_at + self._leeway_s
        self._announced = self._announce_s == 0
        self.cancel()
        self._look()

    def cancel(self) -> None:
        """Nothing is called any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        # The timers run on the loop's clock, the end is on the wall's: what counts is the wall's when one fires.
        left_s = self._ends_at - self._now()
        if left_s <= 0:
            self._expired()
            return
        if not self._announced and left_s <= self._announce_s:
            self._announced = True
            self._expiring(left_s)
        self._timer = self._call_later(left_s - (0 if self._announced else self._announce_s), self._look)
