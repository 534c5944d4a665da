"""The tables public.orders and public.executions, through one connection; all that the demo writes goes through here.

The queries are in `queries/`. psycopg2's errors pass through.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import fields
from importlib.resources import files
from typing import Any
from uuid import UUID

import aiopg

from . import lives
from .lives import Change, Order

QUERY_TIMEOUT_S = 10.0
# Open orders of somebody else's making that are taken over at once.
TAKE_OVER_MOST = 10_000

# Of the orders that ended over an hour ago this many are kept.
KEPT_ENDED = 10_000
SWEEP_MOST = 50_000

_COLUMNS = tuple(field.name for field in fields(Order))


def _query(name: str) -> str:
    return (files(__package__) / "queries" / f"{name}.sql").read_text()


_INSERT = _query("insert_order")
_CHANGE = _query("change_order")
# Two statements sent as one query are one transaction and one round trip.
_TRADE = f"{_query('insert_execution')};\n{_CHANGE}"
_OPEN = _query("open_orders")
_ASK_TO_CANCEL = _query("ask_to_cancel")
_EVENTS = _query("order_events")
_OLD = _query("old_orders")
_DELETE = _query("delete_orders")


class Tables:
    """One connection's use of them."""

    def __init__(self, connection: aiopg.Connection) -> None:
        self._connection = connection

    async def write(self, change: Change) -> int | None:
        """Commit a change: the order's new version, or None when somebody else changed the order first."""
        order, execution = change.order, change.execution
        values: dict[str, Any] = {name: getattr(order, name) for name in _COLUMNS}
        if execution is not None:
            values |= {"traded_quantity": execution.quantity, "traded_price": execution.price}
        statement = _TRADE if execution is not None else _CHANGE if order.version else _INSERT
        rows = await self._rows(statement, values)
        return rows[0][0] if rows else None

    async def open_orders(self, order_id: UUID | None = None, statuses: Collection[str] = lives.OPEN) -> list[Order]:
        """All orders of those statuses, or only that one if it is of them."""
        values = {"statuses": list(statuses), "id": order_id, "most": TAKE_OVER_MOST}
        return [Order(*row) for row in await self._rows(_OPEN, values)]

    async def ask_to_cancel(self, user_id: str, order_id: UUID) -> bool:
        """Whether the order is the user's and at work, and now waits to be cancelled."""
        values = {"id": order_id, "user_id": user_id, "statuses": list(lives.AT_WORK)}
        return bool(await self._rows(_ASK_TO_CANCEL, values))

    async def events(self, user_id: str, order_id: UUID) -> list[str]:
        """What happened to the user's order and is still kept, as JSON, oldest first."""
        return [row[0] for row in await self._rows(_EVENTS, {"user_id": user_id, "id": str(order_id)})]

    async def old_orders(self) -> list[UUID]:
        """The orders that a sweep is to delete, oldest first."""
        values = {"statuses": list(lives.ENDED), "most": SWEEP_MOST, "kept": KEPT_ENDED}
        return [row[0] for row in await self._rows(_OLD, values)]

    async def delete(self, order_ids: Sequence[UUID]) -> None:
        async with self._connection.cursor() as cursor:
            with _cancelling_heeded():
                await cursor.execute(_DELETE, {"ids": list(order_ids)})

    async def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            with _cancelling_heeded():
                await cursor.execute(statement, values)
            return list(await cursor.fetchall())


@asynccontextmanager
async def open_tables(database_url: str, who: str) -> AsyncIterator[Tables]:
    """A connection of its own; `who` is its name in pg_stat_activity."""
    connection = None
    try:
        with _cancelling_heeded():
            connection = await aiopg.connect(
                database_url,
                timeout=QUERY_TIMEOUT_S,
                enable_json=False,
                enable_hstore=False,
                application_name=who,
                connect_timeout=int(QUERY_TIMEOUT_S),
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=int(QUERY_TIMEOUT_S * 1000),
            )
        yield Tables(connection)
    finally:
        if connection is not None:
            await connection.close()


@contextmanager
def _cancelling_heeded() -> Iterator[None]:
    """aiopg waits in wait_for, which before Python 3.12 loses a cancellation that comes together with the result;
    whoever waits for the task, as the exchange does when its database is gone, would wait for ever."""
    task = asyncio.current_task()
    assert task is not None
    # Not whether there was any at all: a TaskGroup of Python 3.11 leaves its own behind.
    before = task.cancelling()
    yield
    if task.cancelling() > before:
        raise asyncio.CancelledError
