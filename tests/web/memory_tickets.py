"""Tickets in memory, for tests of the web tier; `tests/postgres/test_tickets.py` holds it to the port's contract."""

import time
from collections.abc import Callable

from orderstream.core.claims import Identity
from orderstream.errors import DatabaseUnavailable


class MemoryTickets:
    """The port Tickets. `most` a user may have; unreachable where `reachable` is false."""

    def __init__(self, *, most: int = 20, now: Callable[[], float] = time.time) -> None:
        self._most = most
        self._now = now
        self._kept: dict[bytes, tuple[Identity, float]] = {}
        self.reachable = True

    async def keep(self, digest: bytes, identity: Identity, expires_in_s: float) -> None:
        self._reach()
        mine = [key for key, (kept, _) in self._kept.items() if kept.user_id == identity.user_id]
        for key in mine[: len(mine) + 1 - self._most]:
            del self._kept[key]
        self._kept[digest] = (identity, self._now() + expires_in_s)

    async def spend(self, digest: bytes) -> Identity | None:
        self._reach()
        identity, expires_at = self._kept.pop(digest, (None, 0.0))
        return identity if expires_at > self._now() else None

    def _reach(self) -> None:
        if not self.reachable:
            raise DatabaseUnavailable("the database does not answer")
