"""The demo's order service: it writes `public.orders` and `public.executions`, and knows nothing else of us.

It stands for the platform's own service, hence its own use of aiopg. What happens to an order is decided on
the `floor`, without I/O; here each change becomes one transaction, at the pace asked for. The table is the
truth: after a lost connection the floor is laid out anew from it, since nobody can know whether the last
commit came through.
"""

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields, replace
from importlib.resources import files
from random import Random
from typing import Any
from uuid import UUID, uuid4

import aiopg
import click
import psycopg2

from . import lives
from .floor import Floor
from .lives import Change, Order
from .pace import Pace

REPORT_EVERY_S = 5.0
# One connection writes some hundreds of times a second even with a slow disk; below that more bring nothing.
ONE_CONNECTION_RATE = 100.0
QUERY_TIMEOUT_S = 10.0
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 5.0

# Seconds of writes that the open orders are bounded to, so that each of them changes every few seconds.
OPEN_ORDERS_S = 8.0
OPEN_ORDERS_LEAST, OPEN_ORDERS_PER_USER, OPEN_ORDERS_MOST = 20, 5, 2_000
# Open orders of somebody else's making that we take over at a start.
TAKE_OVER_MOST = 10_000

# Of the orders that ended over an hour ago this many are kept; a sweep looks once a minute.
KEPT_ENDED = 10_000
SWEEP_EVERY_S = 60.0
SWEEP_MOST = 50_000
# Few enough that a delete holds its locks for milliseconds.
SWEEP_BATCH = 100

_COLUMNS = tuple(field.name for field in fields(Order))


def _query(name: str) -> str:
    return (files(__package__) / "queries" / f"{name}.sql").read_text()


_INSERT = _query("insert_order")
_CHANGE = _query("change_order")
# Two statements sent as one query are one transaction and one round trip.
_TRADE = f"{_query('insert_execution')};\n{_CHANGE}"
_OPEN = _query("open_orders")
_OLD = _query("old_orders")
_DELETE = _query("delete_orders")


class Tables:
    """The two tables, through one connection; psycopg2's errors pass through."""

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

    async def open_orders(self, order_id: UUID | None = None) -> list[Order]:
        """All open orders, or only that one if it is open."""
        values = {"statuses": list(lives.OPEN), "id": order_id, "most": TAKE_OVER_MOST}
        return [Order(*row) for row in await self._rows(_OPEN, values)]

    async def old_orders(self) -> list[UUID]:
        """The orders that a sweep is to delete, oldest first."""
        values = {"statuses": list(lives.ENDED), "most": SWEEP_MOST, "kept": KEPT_ENDED}
        return [row[0] for row in await self._rows(_OLD, values)]

    async def delete(self, order_ids: Sequence[UUID]) -> None:
        async with self._connection.cursor() as cursor:
            await cursor.execute(_DELETE, {"ids": list(order_ids)})

    async def _rows(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement, values)
            return list(await cursor.fetchall())


@asynccontextmanager
async def _tables(database_url: str) -> AsyncIterator[Tables]:
    connection = await aiopg.connect(
        database_url,
        timeout=QUERY_TIMEOUT_S,
        enable_json=False,
        enable_hstore=False,
        application_name="demo exchange",
        connect_timeout=int(QUERY_TIMEOUT_S),
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=int(QUERY_TIMEOUT_S * 1000),
    )
    try:
        yield Tables(connection)
    finally:
        await connection.close()


class Exchange:
    """One run of the exchange: a floor that outlives lost connections, and what was written so far."""

    def __init__(
        self, database_url: str, floor: Floor, pace: Pace, stop: asyncio.Event, report: Callable[[str], None]
    ) -> None:
        self._database_url = database_url
        self._floor = floor
        self._pace = pace
        self._stop = stop
        self._report = report
        self._writes = 0
        self.connected = False

    async def session(self, connections: int, writes: float) -> None:
        """Trade until stopped or `writes` are done. A lost database raises its error, alone or in a group."""
        async with AsyncExitStack() as stack:
            tables = [await stack.enter_async_context(_tables(self._database_url)) for _ in range(connections)]
            self._floor.lay_out(await tables[0].open_orders())
            self.connected = True
            self._report(f"trading, with {self._floor.open_orders} open orders from before")
            async with asyncio.TaskGroup() as tasks:
                for one in tables:
                    tasks.create_task(self._trade(one, writes))
                tasks.create_task(self._report_progress())
                tasks.create_task(self._sweep())

    async def paused(self, seconds_s: float) -> bool:
        """Wait that long, or until stopped: whether it goes on after that."""
        try:
            async with asyncio.timeout(seconds_s):
                await self._stop.wait()
        except TimeoutError:
            return True
        return False

    async def _trade(self, tables: Tables, writes: float) -> None:
        while await self._turn() and self._writes < writes:
            self._writes += 1
            change = self._floor.next_change()
            version = await tables.write(change)
            if version is not None:
                self._floor.settle(replace(change.order, version=version))
                continue
            self._floor.forget(change.order)
            for order in await tables.open_orders(change.order.id):
                self._floor.take_in(order)
        self._stop.set()

    async def _turn(self) -> bool:
        wait_s = self._pace.wait_s(asyncio.get_running_loop().time())
        return await self.paused(wait_s) if wait_s > 0 else not self._stop.is_set()

    async def _report_progress(self) -> None:
        now_s = asyncio.get_running_loop().time
        before, before_s = self._writes, now_s()
        while await self.paused(REPORT_EVERY_S):
            rate = (self._writes - before) / (now_s() - before_s)
            before, before_s = self._writes, now_s()
            ended = ", ".join(f"{self._floor.ended[status]} {status}" for status in sorted(lives.ENDED))
            self._report(f"{rate:.1f} writes/s, {self._floor.open_orders} open; so far {ended}")

    async def _sweep(self) -> None:
        while await self.paused(SWEEP_EVERY_S):
            async with _tables(self._database_url) as tables:
                old = await tables.old_orders()
                for first in range(0, len(old), SWEEP_BATCH):
                    await tables.delete(old[first : first + SWEEP_BATCH])
                    if self._stop.is_set():
                        return


async def run(
    database_url: str,
    *,
    rate: float,
    users: int = 50,
    seed: int | None = None,
    connections: int = 4,
    stop: asyncio.Event,
    report: Callable[[str], None],
    writes: float = math.inf,
) -> None:
    """Trade at `rate` committed changes a second (infinite: all that goes) until `stop` is set.

    After `writes` changes it sets `stop` itself. A lost database is waited for; its other errors are raised.
    Cancelling is safe: what is not committed has not happened.
    """
    rng = Random(seed)
    floor = Floor(rng, users=users, open_limit=_open_limit(rate, users), new_id=uuid4)
    exchange = Exchange(database_url, floor, Pace(rate, asyncio.get_running_loop().time()), stop, report)
    retry_s = RETRY_FIRST_S
    while not stop.is_set():
        try:
            await exchange.session(1 if rate <= ONE_CONNECTION_RATE else connections, writes)
        except (psycopg2.Error, OSError, BaseExceptionGroup) as error:
            lost = _lost(error)
            if exchange.connected or retry_s == RETRY_FIRST_S:
                report(f"the database is away ({_line(lost)}); waiting for it")
                retry_s = RETRY_FIRST_S
            exchange.connected = False
            await exchange.paused(retry_s * rng.uniform(0.8, 1.2))
            retry_s = min(2 * retry_s, RETRY_MOST_S)


def _open_limit(rate: float, users: int) -> int:
    most = min(OPEN_ORDERS_S * rate, OPEN_ORDERS_PER_USER * users, OPEN_ORDERS_MOST)
    return max(OPEN_ORDERS_LEAST, int(most))


def _lost(error: BaseException) -> BaseException:
    """What shows that the database is away; anything else (a table missing, a bug) is raised again."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            lost = _lost(one)
        return lost
    # A connection that breaks in the middle of an answer is a bare DatabaseError to psycopg2.
    away = isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError, OSError))
    if not away and type(error) is not psycopg2.DatabaseError:
        raise error
    return error


def _line(error: BaseException) -> str:
    words = str(error).strip() or type(error).__name__
    return words.splitlines()[0]


def _rate(context: click.Context, parameter: click.Parameter, value: str) -> float:
    try:
        rate = math.inf if value == "max" else float(value)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise click.BadParameter(f"{value!r} is not a number above 0, nor max.")
    return rate


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rate", default="5", callback=_rate, metavar="RATE", help="Changes a second, even; or max.")
@click.option("--users", default=50, type=click.IntRange(1, 1_000_000), help="How many: ann, ben, cara …")
@click.option("--connections", default=4, type=click.IntRange(1, 100), help="Used above 100 changes a second.")
@click.option("--writes", type=click.IntRange(1), help="Stop after so many changes.")
@click.option("--seed", type=int, help="Make the same choices as the last run with it.")
@click.option("--database-url", required=True, envvar="ORDERSTREAM_DATABASE_URL", show_envvar=True, metavar="URL")
def main(database_url: str, writes: int | None, **options: Any) -> None:
    """Run the demo exchange: place, fill, cancel, refuse and expire the orders of many users.

    It knows the tables public.orders and public.executions, and nothing else. It goes on with the open
    orders that it finds, waits for a database that is away, and ends on Ctrl-C or SIGTERM after the write
    under way.
    """
    with asyncio.Runner() as runner:
        runner.run(_until_signalled(database_url, writes=writes or math.inf, **options))


async def _until_signalled(database_url: str, **options: Any) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def begin_to_stop() -> None:
        stop.set()
        # A second signal is not to wait for anything.
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, begin_to_stop)
    await run(database_url, stop=stop, report=click.echo, **options)


if __name__ == "__main__":
    main()
