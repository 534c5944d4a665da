"""A bounded set of sessions for reads and retention."""

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2.errors import QueryCanceled

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import PREPARE, NotAValue, Row, Session, open_session, translated

_MAY_BE_DEAD = (psycopg2.OperationalError, psycopg2.InterfaceError)


class Pool:
    """At most `size` sessions, opened as they are needed, each for one query at a time.

    A query runs in a task of the pool's, so that a caller who is cancelled does not cost the session.
    """

    def __init__(self, database_url: str, *, size: int, timeout_s: float) -> None:
        self._database_url = database_url
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(size)
        self._idle: list[Session] = []
        self._queries: set[asyncio.Task[list[Row]]] = set()

    @property
    def queries(self) -> int:
        """How many run or wait for a session."""
        return len(self._queries)

    async def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of `sql`, within the time-out. Raises DatabaseUnavailable."""
        task = asyncio.ensure_future(self._fetch(sql, parameters))
        self._queries.add(task)
        task.add_done_callback(self._queries.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends all sessions, without waiting for queries."""
        for task in list(self._queries):
            task.cancel()
        await asyncio.gather(*self._queries, return_exceptions=True)
        while self._idle:
            await self._idle.pop().close()

    async def _fetch(self, sql: str, parameters: Mapping[str, Any] | None) -> list[Row]:
        try:
            return await self._once(sql, parameters)
        except DatabaseUnavailable as error:
            # Sessions die with the server but are found dead only when used; what reads or deletes may be done twice,
            # but not what somebody ended since it took too long.
            if not isinstance(error.__cause__, _MAY_BE_DEAD) or isinstance(error.__cause__, QueryCanceled):
                raise
            return await self._once(sql, parameters)

    async def _once(self, sql: str, parameters: Mapping[str, Any] | None) -> list[Row]:
        async def work() -> list[Row]:
            async with asyncio.timeout(self._timeout_s), self._room:
                session = await self._session()
                try:
                    rows = await session.fetch(sql, parameters)
                except NotAValue:
                    self._idle.append(session)
                    raise
                except BaseException:
                    await session.close()
                    raise
                self._idle.append(session)
                return rows

        return await translated(work())

    async def _session(self) -> Session:
        while self._idle:
            session = self._idle.pop()
            if not session.lost:
                return session
            await session.close()
        session = await open_session(self._database_url, name="reads", timeout_s=self._timeout_s)
        try:
            limit_ms = int(self._timeout_s * 1000)
            await session.fetch(f"{PREPARE}; set statement_timeout = {limit_ms}")
        except BaseException:
            await session.close()
            raise
        return session
