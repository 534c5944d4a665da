"""The canary's order, written through the real table."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import NotAValue
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query

# With the parameters `canary`, the user, and `mark`.
CHANGE = query("change_canary")


class CanaryOrder:
    """The one order of a reserved user."""

    def __init__(self, pool: Pool, user_id: str) -> None:
        self._pool = pool
        self._user_id = user_id

    async def change(self, mark: str) -> None:
        """Commits the mark as its reason. Raises DatabaseUnavailable."""
        with refusals(self._user_id):
            await self._pool.fetch(CHANGE, {"canary": self._user_id, "mark": mark})


@contextmanager
def refusals(user_id: str) -> Iterator[None]:
    """What the table has against it is DatabaseUnavailable: the platform's own rules are not ours to know."""
    try:
        yield
    except (psycopg2.Error, NotAValue) as error:
        line = str(error).strip().partition("\n")[0]
        raise DatabaseUnavailable(f"the order of {user_id} is refused: {line}") from error
