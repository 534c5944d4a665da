"""An order service for one user: real orders, changed again and again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import psycopg2

from tests.waiting import eventually

USER = "ann"
ORDERS = 2

# Between two changes: a client must live through a restart, not through a load.
_PACE_S = 0.01

_INSERT = """
insert into orders (user_id, symbol, asset_class, side, order_type, platform, quantity, status)
values (%s, %s, 'stock', 'buy', 'market', 'web', 1000000, 'submitted')
"""
_CHANGE = """
update orders set filled_quantity = filled_quantity + 1, status = 'partially_filled'
where id = (select id from orders where user_id = %s order by filled_quantity, id limit 1)
"""


class Trade:
    """The user's events so far are numbered 1 to `written`, one for every statement."""

    def __init__(self, dsn: str) -> None:
        self._session = psycopg2.connect(dsn)
        self._session.autocommit = True
        self.written = 0

    def close(self) -> None:
        self._session.close()

    def submit(self) -> None:
        """A few orders, for the snapshot."""
        for number in range(ORDERS):
            self._write(_INSERT, (USER, f"ABC{number}"))

    def change(self, times: int = 1) -> None:
        """As many changes, one after another."""
        for _ in range(times):
            self._write(_CHANGE, (USER,))

    def burst(self, times: int) -> None:
        """As many, committed together."""
        with self._session.cursor() as cursor:
            cursor.execute("begin")
            self.change(times)
            cursor.execute("commit")

    async def numbered(self) -> None:
        """Returns once all of it has its number: what has none yet comes again, after the snapshot that shows it."""
        await eventually(self._is_numbered)

    def _is_numbered(self) -> bool:
        with self._session.cursor() as cursor:
            cursor.execute("select count(*) from orderstream.events where user_id = %s", (USER,))
            return bool(cursor.fetchone() == (self.written,))

    def _write(self, statement: str, values: tuple[str, ...]) -> None:
        with self._session.cursor() as cursor:
            cursor.execute(statement, values)
        self.written += 1

    async def go_on(self) -> None:
        """Changes orders until it is cancelled, and never leaves one half done."""
        while True:
            self.change()
            await asyncio.sleep(_PACE_S)


@asynccontextmanager
async def trading(trade: Trade) -> AsyncIterator[None]:
    """Orders keep changing inside the block."""
    changing = asyncio.create_task(trade.go_on())
    try:
        yield
        assert not changing.done(), changing
    finally:
        changing.cancel()


def opened(dsn: str) -> "closing[Trade]":
    """A Trade that is closed at the end of the block."""
    return closing(Trade(dsn))
