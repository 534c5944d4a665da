"""What an order service does to the tables, for tests; each function with a session of its own."""

import uuid
from contextlib import closing
from typing import Any

import psycopg2

_INSERT = (
    "insert into orders (id, user_id, client_order_id, symbol, asset_class, side, order_type, platform, quantity)"
    " values (%s, %s, %s, 'ACME', 'stock', 'buy', 'market', 'web', 1000)"
)


def insert_order(cursor: Any, order_id: str, user: str, client_order_id: str = "") -> None:
    """One order with what the table asks for."""
    cursor.execute(_INSERT, [order_id, user, client_order_id])


def write_orders(database: str, user: str, count: int) -> None:
    """New orders, all in one transaction: so many events."""
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        for _ in range(count):
            insert_order(cursor, str(uuid.uuid4()), user)
        session.commit()


def keep_awake(database: str, cursor: Any, user: str = "ben") -> None:
    """Writes until it found nobody asleep: then its transaction holds the doorbell, shared, and will not ring."""
    held = 0
    while not held:
        write_orders(database, user, 1)
        insert_order(cursor, str(uuid.uuid4()), user)
        cursor.execute("select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
        held = cursor.rowcount


def execute(database: str, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    """The rows of one statement, committed."""
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute(sql, arguments or None)
        rows = cursor.fetchall() if cursor.description else []
        session.commit()
        return rows


def asleep(database: str) -> bool:
    """Whether the sequencer lies down and has looked once more: it waits for the doorbell now, and for nothing else."""
    return bool(
        execute(
            database,
            "select 1 from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory' and granted"
            " and (classid, objid, mode) = (1869768306, 1, 'ExclusiveLock')"
            " and state = 'idle' and query like '%%execute take%%' and datname = %s",
            psycopg2.extensions.parse_dsn(database)["dbname"],
        )
    )


def epoch_of(database: str) -> str:
    """The one in force."""
    [(epoch,)] = execute(database, "select epoch from orderstream.epochs order by id desc limit 1")
    return str(epoch)
