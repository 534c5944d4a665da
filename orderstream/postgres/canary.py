"""The canary's order, written through the real table."""

import psycopg2

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import NotAValue
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query


class CanaryOrder:
    """The one order of a reserved user."""

    def __init__(self, pool: Pool, user_id: str) -> None:
        self._pool = pool
        self._user_id = user_id

    async def change(self, mark: str) -> None:
        """Commits the mark as its reason. Raises DatabaseUnavailable whatever the table has against it: the platform's
        own rules are not ours to know."""
        try:
            await self._pool.fetch(query("change_canary"), {"canary": self._user_id, "mark": mark})
        except (psycopg2.Error, NotAValue) as error:
            line = str(error).strip().partition("\n")[0]
            raise DatabaseUnavailable(f"the order of {self._user_id} is refused: {line}") from error
