"""Sessions of one process for tests of the web tier: the port SessionStore without a database."""

from collections.abc import Sequence

from orderstream.core.claims import Identity
from orderstream.errors import DatabaseUnavailable
from orderstream.sessions import ListedDelivery, Sessions

FOREVER = 4e9


class MemorySessions:
    """`elsewhere` is what the other processes wrote, user_id -> deliveries; unreachable where `reachable` is false."""

    def __init__(self, sessions: Sessions | None = None) -> None:
        self.sessions = sessions or Sessions(linger_s=60.0, max_polling=100)
        self.elsewhere: dict[str, list[ListedDelivery]] = {}
        self.reachable = True

    async def open_elsewhere(self, user_id: str) -> Sequence[ListedDelivery]:
        self._reach()
        return self.elsewhere.get(user_id, [])

    async def revoke(self, by: Identity, session_id: str) -> None:
        self._reach()
        self.sessions.revoke(by.user_id, session_id, FOREVER)

    def _reach(self) -> None:
        if not self.reachable:
            raise DatabaseUnavailable("the database does not answer")
