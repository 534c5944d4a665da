"""The schema, brought up to date by numbered plain SQL: two sets, each file applied once and never edited.

Every migration runs in a transaction of its own that also records it, so a failure leaves a prefix. One
session advisory lock lets any number of programs start at once: one applies, the others wait and find nothing
to do.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import msgspec
import psycopg2
from psycopg2.extensions import connection

from orderstream.errors import SchemaError
from orderstream.postgres import dsn as dsns
from orderstream.postgres.migration_files import OURS, SETS, TABLES, Migration, packaged, refuse_gaps

OLDEST_SERVER = 14

# Big-endian ASCII, "ords"; the doorbell and the election use the same class with objects of their own.
_LOCK = (0x6F726473, 100)

# Waiting in the queue for a lock on `orders` holds up every order behind us, so the wait is short.
_LOCK_TIMEOUT = "5s"

# What our triggers read and the API shows; a platform's own tables may have more.
_ORDER_COLUMNS = (
    "id user_id client_order_id symbol asset_class side order_type time_in_force platform quantity price "
    "stop_price status filled_quantity average_price reason_code reason version created_at updated_at"
)
_EXECUTION_COLUMNS = "id order_id symbol side quantity price kind refers_to executed_at"
_TIMES = ("orders.created_at", "orders.updated_at", "executions.executed_at")
_REQUIRED_COLUMNS = [f"orders.{column}" for column in _ORDER_COLUMNS.split()] + [
    f"executions.{column}" for column in _EXECUTION_COLUMNS.split()
]

Report = Callable[[str], None]


class Applied(msgspec.Struct, frozen=True):
    """What the database remembers of a migration; `applied_at` is aware UTC."""

    set_name: str
    number: int
    name: str
    checksum: str
    applied_at: datetime

    @property
    def file(self) -> str:
        return f"{self.set_name}/{self.number:04d}_{self.name}.sql"


class Status(msgspec.Struct, frozen=True):
    """A migration, and when it was applied; None while it is pending."""

    migration: Migration
    applied_at: datetime | None


def plan(
    dsn: str,
    with_tables: bool = True,
    *,
    timeout_s: float = 10.0,
    migrations: Sequence[Migration] | None = None,
) -> list[Migration]:
    """What `apply` would apply, in order. Writes nothing.

    Raises SchemaError (edited, unknown, missing migrations; tables that lack columns), DatabaseUnreachable.
    """
    return [
        row.migration
        for row in status(dsn, with_tables, timeout_s=timeout_s, migrations=migrations)
        if row.applied_at is None
    ]


def status(
    dsn: str,
    with_tables: bool = True,
    *,
    timeout_s: float = 10.0,
    migrations: Sequence[Migration] | None = None,
) -> list[Status]:
    """Every migration of the sets asked for, with when it was applied; reads only, raises as `plan` does."""
    known = packaged() if migrations is None else migrations
    with _session(dsn, timeout_s) as session:
        return _compare(session, known, with_tables)


def apply(
    dsn: str,
    with_tables: bool = True,
    report: Report = lambda line: None,
    *,
    timeout_s: float = 10.0,
    migrations: Sequence[Migration] | None = None,
) -> list[Migration]:
    """Applies what is pending and returns it; `report` is told of each file before it runs.

    Raises as `plan` does, and SchemaError with the file's name where Postgres refuses its SQL: what came
    before it stays applied.
    """
    known = packaged() if migrations is None else migrations
    with _session(dsn, timeout_s) as session:
        try:
            return _apply_pending(session, known, with_tables, report)
        except psycopg2.errors.InsufficientPrivilege as error:
            may_not = f"the role {session.info.user} may not migrate {dsns.target(dsn)}: {_first_line(error)}"
            raise SchemaError(f"{may_not}: {_who_may(session)}") from error


def check_current(dsn: str, *, timeout_s: float = 10.0, migrations: Sequence[Migration] | None = None) -> None:
    """Returns if the database has all that this version needs; SchemaError says what is missing.

    The platform's tables count as left out when none of their set was ever applied here.
    """
    known = packaged() if migrations is None else migrations
    with _session(dsn, timeout_s) as session:
        with_tables = any(row.set_name == TABLES for row in _applied(session))
        rows = _compare(session, known, with_tables, check_columns=False)
        if any(row.applied_at is None for row in rows):
            raise SchemaError("the database is not migrated: run `orderstream migrate`")
        if not with_tables:
            _require_columns(session)


def _apply_pending(
    session: connection, known: Sequence[Migration], with_tables: bool, report: Report
) -> list[Migration]:
    _execute(session, "select pg_advisory_lock(%s, %s)", _LOCK)
    _execute(session, "select set_config('lock_timeout', %s, false)", (_LOCK_TIMEOUT,))
    _create_ledger(session)
    pending = [row.migration for row in _compare(session, known, with_tables) if row.applied_at is None]
    for migration in pending:
        report(f"applying {migration.file}")
        _apply_one(session, migration)
    return pending


def _who_may(session: connection) -> str:
    """What to do about a right that was lacking; ends the transaction."""
    _execute(session, "rollback")
    with session.cursor() as cursor:
        cursor.execute("select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'orderstream'")
        owner = cursor.fetchone()
    if owner is not None:
        return f"run it as {owner[0]}, the owner of the schema orderstream"
    return "run it as a role that may create in the database, and SELECT and TRIGGER on orders and executions"


@contextmanager
def _session(dsn: str, timeout_s: float) -> Iterator[connection]:
    """A session that commits after each statement, on a server that we can work with."""
    with closing(dsns.connect(dsn, timeout_s)) as session:
        session.autocommit = True
        try:
            _refuse_server(session)
            yield session
        except psycopg2.errors.InsufficientPrivilege as error:
            may_not = f"the role {session.info.user} may not read {dsns.target(dsn)}: {_first_line(error)}"
            raise SchemaError(f"{may_not}: config/grants.sql shows what it needs") from error
        except psycopg2.Error as error:
            raise SchemaError(f"the database {dsns.target(dsn)} failed: {dsns.reason(error, dsn)}") from error


def _refuse_server(session: connection) -> None:
    version = session.server_version // 10_000
    if version < OLDEST_SERVER:
        raise SchemaError(f"Postgres {version} is too old: {OLDEST_SERVER} or newer is needed")
    encoding = session.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SchemaError(f"the database's encoding is {encoding}: it must be UTF8")


def _create_ledger(session: connection) -> None:
    # `create … if not exists` needs the right to create even where there is nothing to create.
    if _has_ledger(session):
        return
    _execute(session, "create schema if not exists orderstream")
    _execute(
        session,
        """create table if not exists orderstream.migrations (
            set_name   text not null,
            number     integer not null,
            name       text not null,
            checksum   text not null,
            applied_at timestamptz not null default clock_timestamp(),
            primary key (set_name, number)
        )""",
    )


def _has_ledger(session: connection) -> bool:
    with session.cursor() as cursor:
        cursor.execute("select to_regclass('orderstream.migrations') is not null")
        return bool(cursor.fetchone() == (True,))


def _applied(session: connection) -> list[Applied]:
    if not _has_ledger(session):
        return []
    with session.cursor() as cursor:
        cursor.execute("select set_name, number, name, checksum, applied_at from orderstream.migrations order by 1, 2")
        return [
            Applied(set_name, number, name, checksum, applied_at.astimezone(UTC))
            for set_name, number, name, checksum, applied_at in cursor.fetchall()
        ]


def _compare(
    session: connection, known: Sequence[Migration], with_tables: bool, *, check_columns: bool = True
) -> list[Status]:
    sets = SETS if with_tables else (OURS,)
    applied = [row for row in _applied(session) if row.set_name in sets]
    asked = [migration for migration in known if migration.set_name in sets]
    refuse_gaps(applied)
    _refuse_strangers(applied, asked)
    if not with_tables and check_columns:
        _require_columns(session)
    applied_at = {(row.set_name, row.number): row.applied_at for row in applied}
    return [Status(row, applied_at.get((row.set_name, row.number))) for row in asked]


def _refuse_strangers(applied: Sequence[Applied], known: Sequence[Migration]) -> None:
    ours = {(migration.set_name, migration.number): migration for migration in known}
    for row in applied:
        migration = ours.get((row.set_name, row.number))
        if migration is None:
            raise SchemaError(f"the database is newer than this program: it has {row.file}, which we do not know")
        if migration.checksum != row.checksum:
            raise SchemaError(f"{migration.file} was edited after it was applied: undo that and add a new migration")


def _require_columns(session: connection) -> None:
    with session.cursor() as cursor:
        cursor.execute(
            """select c.relname || '.' || a.attname, format_type(a.atttypid, null)
            from pg_attribute a join pg_class c on c.oid = a.attrelid
            where c.oid in (to_regclass('public.orders'), to_regclass('public.executions'))
            and a.attnum > 0 and not a.attisdropped"""
        )
        present = dict(cursor.fetchall())
    missing = [name for name in _REQUIRED_COLUMNS if name not in present]
    if missing:
        raise SchemaError(f"the platform's tables in the schema public lack: {', '.join(missing)}")
    # Without a zone, a time is another one in the writer's session than in ours.
    zoneless = [name for name in _TIMES if present[name] != "timestamp with time zone"]
    if zoneless:
        raise SchemaError(f"the platform's tables need timestamp with time zone for: {', '.join(zoneless)}")


def _apply_one(session: connection, migration: Migration) -> None:
    try:
        _execute(session, "begin")
        _execute(session, migration.sql)
        _execute(
            session,
            "insert into orderstream.migrations (set_name, number, name, checksum) values (%s, %s, %s, %s)",
            (migration.set_name, migration.number, migration.name, migration.checksum),
        )
        _execute(session, "commit")
    except psycopg2.errors.DuplicateTable as error:
        hint = ": leave it out by --without-tables if it is yours" if migration.set_name == TABLES else ""
        raise SchemaError(f"{migration.file} failed: {_first_line(error)}{hint}") from error
    except psycopg2.errors.InsufficientPrivilege:
        raise
    except psycopg2.errors.LockNotAvailable as error:
        raise SchemaError(f"{migration.file} waited {_LOCK_TIMEOUT} for a lock: try again") from error
    except psycopg2.Error as error:
        raise SchemaError(f"{migration.file} failed: {_first_line(error)}") from error


def _first_line(error: psycopg2.Error) -> str:
    return str(error).split("\n", 1)[0].strip()


def _execute(session: connection, sql: str, arguments: tuple[object, ...] | None = None) -> None:
    with session.cursor() as cursor:
        cursor.execute(sql, arguments)
