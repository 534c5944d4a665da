"""Sessions on Postgres over aiopg, and the one door where driver errors become ours."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import psycopg2
import psycopg2.errors

from orderstream.errors import DatabaseUnavailable, OrderstreamError
from orderstream.postgres.addresses import reachable
from orderstream.postgres.watching import Connection


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
    psycopg2.errors.UndefinedFunction,
    # A restore makes the tables before their constraints, and may make these before it says which ids come next.
    psycopg2.errors.InvalidColumnReference,
    psycopg2.errors.ObjectNotInPrerequisiteState,
    psycopg2.errors.UniqueViolation,
    psycopg2.errors.InvalidSchemaName,
    psycopg2.errors.InsufficientPrivilege,
)

# First in every session: what others put into public, or a session into pg_temp, is not ours to call.
PREPARE = (
    "set jit = off; set search_path = pg_catalog, pg_temp; set default_transaction_isolation = 'read committed';"
    # Sessions of ours listen, for as long as nothing happens. The leader's has a limit of its own.
    "set idle_session_timeout = 0;"
    # A time is the same to the microsecond in all of them.
    "set extra_float_digits = 1"
)


async def translated(work: Awaitable[T]) -> T:
    """Awaits `work`; what says that the database is not there raises DatabaseUnavailable, a bug stays what it is."""
    try:
        return await work
    except psycopg2.DataError as error:
        # The only text of a client's that reaches a query are ids and page keys.
        raise NotAValue(_line(error)) from error
    except _NOT_READY as error:
        raise DatabaseUnavailable(f"the database is not ready: {_line(error)}") from error
    except _UNAVAILABLE as error:
        raise DatabaseUnavailable(f"the database does not answer: {_line(error)}") from error


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


class Session:
    """One session that stays: for locks that live with it and for LISTEN. One query at a time.

    Every method raises DatabaseUnavailable; the session is then of no use. Cancelling a query closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def lost(self) -> bool:
        """Whether it is known to be of no use."""
        return bool(self._connection.closed)

    async def fetch(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of the last statement in `sql`; none where it gives none."""
        return await translated(self._connection.ask(sql, parameters))

    async def notified(self, timeout_s: float) -> list[str]:
        """The payloads that came, at once or within `timeout_s`; none when the time is over, at `stir`, or where the
        socket said something else. May be cancelled."""
        connection = self._connection
        try:
            if not (payloads := connection.heard()) and timeout_s > 0:
                await connection.stirred(timeout_s)
                payloads = connection.heard()
        except (psycopg2.Error, OSError) as error:
            raise DatabaseUnavailable(f"the database does not answer: {_line(error)}") from error
        return payloads

    def stir(self) -> None:
        """Ends a wait for notifications, if there is one."""
        self._connection.stir()

    async def close(self) -> None:
        """Ends the session; its locks go with it."""
        with suppress(psycopg2.Error):
            await self._connection.close()


async def open_session(database_url: str, *, name: str, timeout_s: float, **liveness: int) -> Session:
    """Connects within `timeout_s`, then also the time a query may take; `name` is for pg_stat_activity, and `liveness`
    are libpq's keepalives and tcp_user_timeout where they are not to be as usual."""
    return Session(await translated(_connect(database_url, f"orderstream {name}", timeout_s, liveness)))


async def _connect(database_url: str, name: str, timeout_s: float, liveness: Mapping[str, int]) -> Connection:
    connection = None
    try:
        async with asyncio.timeout(timeout_s):
            connection = await _first_that_answers(
                database_url, timeout=timeout_s, application_name=name, **{**_LIVENESS, **liveness}, **_AS_TEXT
            )
            _honour_cancellation()
    except BaseException:
        # The time may run out together with the answer.
        if connection is not None:
            await connection.close()
        raise
    return connection


async def _first_that_answers(database_url: str, **options: Any) -> Connection:
    for server in await reachable(database_url):
        try:
            connection: Connection = await Connection(database_url, **server, **options)  # type: ignore[assignment]
            return connection
        except psycopg2.OperationalError as error:
            refused = error
    raise refused


def _honour_cancellation() -> None:
    # aiopg waits in wait_for, which before Python 3.12 loses a cancellation that comes together with the result.
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError
