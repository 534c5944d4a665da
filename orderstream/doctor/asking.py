"""One session that only reads, a transaction for each question: it changes nothing, even where a pooler is between."""

from orderstream.postgres.connections import Row, Session
from orderstream.postgres.queries import query


class Asker:
    """Asks the named queries of this folder. Raises DatabaseUnavailable, and can be asked again after that."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ask(self, name: str, package: str = __package__) -> list[Row]:
        """The rows of `queries/<name>.sql`; names in it are looked up in pg_catalog."""
        # `set local`: a setting of the session would become that of somebody else's behind a pooler.
        begin = "begin transaction read only; set local search_path = pg_catalog, pg_temp"
        try:
            return await self._session.fetch(f"{begin}; {query(name, package)}")
        finally:
            await self._session.fetch("rollback")
