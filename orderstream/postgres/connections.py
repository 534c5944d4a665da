"""Sessions on Postgres over aiopg, and the one door where driver errors become ours."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import aiopg
import psycopg2
import psycopg2.errors

from orderstream.errors import DatabaseUnavailable, OrderstreamError


class NotAValue(OrderstreamError):
    """A text cannot be of the type of the column that it was compared with."""


Row = tuple[Any, ...]
T = TypeVar("T")

# A peer that vanished without a word is noticed within 11 s: 5 + 3 probes x 2 s, and 10 s for unacknowledged data.
_LIVENESS: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# Types stay text: bodies are finished JSON, which nobody here parses.
_AS_TEXT: dict[str, Any] = {"enable_json": False, "enable_hstore": False, "enable_uuid": False}

_UNAVAILABLE = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    psycopg2.InternalError,  # a standby refuses to write
    asyncio.TimeoutError,
    OSError,
)

# Put right by a migration, or by config/grants.sql, without a restart of ours.
_NOT_READY = (
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.InvalidSchemaName,
    psycopg2.errors.InsufficientPrivilege,
)

# First in every session: what others put into public, or a session into pg_temp, is not ours to call.
PREPARE = "set jit = off; set search_path = pg_catalog, pg_temp"


async def translated(work: Awaitable[T]) -> T:
    """Awaits `work`; what says that the database is not there raises DatabaseUnavailable, a bug stays what it is."""
    try:
        return await work
    except psycopg2.DataError as error:
        # The only text of a client's that reaches a query are ids and page keys.
        raise NotAValue(_line(error)) from error
    except _UNAVAILABLE as error:
        raise DatabaseUnavailable(f"the database does not answer: {_line(error)}") from error
    except psycopg2.ProgrammingError as error:
        if isinstance(error, _NOT_READY):
            raise DatabaseUnavailable(f"the database is not ready: {_line(error)}") from error
        raise


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class Session:
    """One session that stays: for locks that live with it and for LISTEN. One query at a time.

    Every method raises DatabaseUnavailable; the session is then of no use. Cancelling a query closes it (aiopg).
    """

    def __init__(self, connection: aiopg.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of the last statement in `sql`; none where it gives none."""
        return await translated(_fetch(self._connection, sql, parameters))

    async def notified(self, timeout_s: float) -> list[str]:
        """The payloads that came, at once or within `timeout_s`; none when the time is over. May be cancelled."""
        payloads = self._heard()
        if not payloads and timeout_s > 0:
            with suppress(asyncio.TimeoutError):
                payloads.append((await self._first(timeout_s)).payload)
                payloads += self._heard()
        return payloads

    def _heard(self) -> list[str]:
        """What has come. aiopg looks only before it asks psycopg2 to read, so what arrived with the end of an answer
        lies in psycopg2 until the socket says something again, which may be never."""
        queue, raw = self._connection.notifies, self._connection.raw
        payloads: list[str] = []
        try:
            while not queue.empty():
                payloads.append(queue.get_nowait().payload)
            raw.poll()
        except psycopg2.Error as error:
            raise DatabaseUnavailable(f"the database does not answer: {_line(error)}") from error
        payloads += [notify.payload for notify in raw.notifies]
        raw.notifies.clear()
        return payloads

    async def close(self) -> None:
        """Ends the session; its locks go with it."""
        with suppress(psycopg2.Error):
            await self._connection.close()

    async def _first(self, timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._connection.notifies.get()
        except TimeoutError:
            # An OSError too, since Python 3.11: silence is no lost connection.
            raise
        except (psycopg2.Error, OSError) as error:
            raise DatabaseUnavailable(f"the database does not answer: {_line(error)}") from error


async def open_session(database_url: str, *, name: str, timeout_s: float) -> Session:
    """Connects within `timeout_s`, then also the time a query may take; `name` is for pg_stat_activity."""

    async def connecting() -> aiopg.Connection:
        # `connect` itself raises, before anything is awaited, where a unix socket is not there.
        return await aiopg.connect(
            database_url, timeout=timeout_s, application_name=f"orderstream {name}", **_LIVENESS, **_AS_TEXT
        )

    return Session(await translated(connecting()))


async def _fetch(connection: aiopg.Connection, sql: str, parameters: Mapping[str, Any] | None) -> list[Row]:
    cursor = await connection.cursor()
    try:
        await cursor.execute(sql, parameters)
        _honour_cancellation()
        return list(await cursor.fetchall()) if cursor.description else []
    finally:
        cursor.close()


def _honour_cancellation() -> None:
    # aiopg waits in wait_for, which before Python 3.12 loses a cancellation that comes together with the result.
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError


class Pool:
    """A bounded set of sessions for reads and retention. A query runs in a task of the pool's, so that a caller who is
    cancelled does not cost the session."""

    def __init__(self, database_url: str, *, size: int, timeout_s: float) -> None:
        self._database_url = database_url
        self._size = size
        self._timeout_s = timeout_s
        self._pool: aiopg.Pool | None = None
        self._queries: set[asyncio.Task[list[Row]]] = set()

    async def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of `sql`. Raises DatabaseUnavailable."""
        task = asyncio.ensure_future(self._fetch(sql, parameters))
        self._queries.add(task)
        task.add_done_callback(self._queries.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends all sessions, without waiting for queries."""
        if self._pool is not None:
            self._pool.terminate()
            for task in list(self._queries):
                task.cancel()
            await asyncio.gather(*self._queries, return_exceptions=True)
            await self._pool.wait_closed()

    async def _fetch(self, sql: str, parameters: Mapping[str, Any] | None) -> list[Row]:
        try:
            return await self._once(sql, parameters)
        except DatabaseUnavailable as error:
            # Sessions die with the server but are found dead only when used; what reads or deletes may be done twice.
            if not isinstance(error.__cause__, (psycopg2.OperationalError, psycopg2.InterfaceError)):
                raise
            return await self._once(sql, parameters)

    async def _once(self, sql: str, parameters: Mapping[str, Any] | None) -> list[Row]:
        async def work() -> list[Row]:
            async with asyncio.timeout(self._timeout_s):
                pool = await self._opened()
                async with pool.acquire() as connection:
                    return await _fetch(connection, sql, parameters)

        return await translated(work())

    async def _opened(self) -> aiopg.Pool:
        if self._pool is None:
            self._pool = await aiopg.create_pool(
                self._database_url,
                minsize=0,
                maxsize=self._size,
                timeout=self._timeout_s,
                on_connect=self._prepare,
                application_name="orderstream reads",
                **_LIVENESS,
                **_AS_TEXT,
            )
        return self._pool

    async def _prepare(self, connection: aiopg.Connection) -> None:
        limit_ms = int(self._timeout_s * 1000)
        await _fetch(connection, f"{PREPARE}; set statement_timeout = {limit_ms}", None)
