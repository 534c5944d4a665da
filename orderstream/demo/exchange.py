"""The demo's order service: it writes `public.orders` and `public.executions`, and knows nothing else of us.

It stands for the platform's own service, hence its own use of aiopg. What happens to an order is decided on
the `floor`, without I/O; here each change becomes one transaction, at the pace asked for. The table is the
truth: after a lost connection the floor is laid out anew from it, since nobody can know whether the last
commit came through.
"""

import asyncio
import math
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import click
import psycopg2

from . import lives, prices
from .floor import PENDING, Floor
from .pace import Pace, rate_of
from .tables import Tables, open_tables

NAME = "demo exchange"
REPORT_EVERY_S = 5.0
# One connection writes some hundreds of times a second even with a slow disk; below that more bring nothing.
ONE_CONNECTION_RATE = 100.0
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 5.0

# Seconds of writes that the open orders are bounded to, so that each of them changes every few seconds.
OPEN_ORDERS_S = 8.0
OPEN_ORDERS_LEAST, OPEN_ORDERS_PER_USER, OPEN_ORDERS_MOST = 20, 5, 2_000

# How often orders are looked for that others placed, or asked to be cancelled. The look reads the whole table, so it
# may take no more than its share of the time.
LOOK_EVERY_S, LOOK_SHARE = 0.5, 0.05
PRICES_EVERY_S = 1.0
SWEEP_EVERY_S = 60.0
# Few enough that a delete holds its locks for milliseconds.
SWEEP_BATCH = 100


class Exchange:
    """One run of the exchange: a floor that outlives lost connections, and what was written so far."""

    def __init__(
        self,
        database_url: str,
        floor: Floor,
        pace: Pace,
        stop: asyncio.Event,
        report: Callable[[str], None],
        prices_path: Path | None,
    ) -> None:
        self._database_url = database_url
        self._floor = floor
        self._pace = pace
        self._stop = stop
        self._report = report
        self._prices_path = prices_path
        self._writes = 0
        self.connected = False

    async def session(self, connections: int, writes: float) -> None:
        """Trade until stopped or `writes` are done. A lost database raises its error, alone or in a group."""
        async with AsyncExitStack() as stack:
            tables = [
                await stack.enter_async_context(open_tables(self._database_url, NAME)) for _ in range(connections)
            ]
            self._floor.lay_out(await tables[0].open_orders())
            self.connected = True
            self._report(f"trading, with {self._floor.open_orders} open orders from before")
            async with asyncio.TaskGroup() as tasks:
                for one in tables:
                    tasks.create_task(self._trade(one, writes))
                tasks.create_task(self._report_progress())
                tasks.create_task(self._look())
                if self._prices_path is not None:
                    tasks.create_task(self._post_prices(self._prices_path))
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
                self._floor.meet(order)
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

    async def _look(self) -> None:
        now_s, took_s = asyncio.get_running_loop().time, 0.0
        async with open_tables(self._database_url, NAME) as tables:
            while await self.paused(max(LOOK_EVERY_S, took_s / LOOK_SHARE)):
                began_s = now_s()
                for order in await tables.open_orders(statuses=PENDING):
                    self._floor.meet(order)
                took_s = now_s() - began_s

    async def _post_prices(self, path: Path) -> None:
        while True:
            prices.write(path, self._floor.market, is_open=self._floor.is_open)
            if not await self.paused(PRICES_EVERY_S):
                return

    async def _sweep(self) -> None:
        while await self.paused(SWEEP_EVERY_S):
            async with open_tables(self._database_url, NAME) as tables:
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
    prices_path: Path | None = None,
) -> None:
    """Trade at `rate` committed changes a second (infinite: all that goes) until `stop` is set.

    The last prices are kept in the file `prices_path`. After `writes` changes it sets `stop` itself. A lost database is
    waited for; its other errors are raised.
    Cancelling is safe: what is not committed has not happened.
    """
    rng = Random(seed)
    floor = Floor(rng, users=users, open_limit=_open_limit(rate, users), new_id=uuid4)
    exchange = Exchange(database_url, floor, Pace(rate, asyncio.get_running_loop().time()), stop, report, prices_path)
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
        return rate_of(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rate", default="5", callback=_rate, metavar="RATE", help="Changes a second, even; or max.")
@click.option("--users", default=50, type=click.IntRange(1, 1_000_000), help="How many: ann, ben, cara …")
@click.option("--connections", default=4, type=click.IntRange(1, 100), help="Used above 100 changes a second.")
@click.option("--writes", type=click.IntRange(1), help="Stop after so many changes.")
@click.option("--seed", type=int, help="Make the same choices as the last run with it.")
@click.option("--prices", type=click.Path(dir_okay=False, path_type=Path), help="Keep the last prices in this file.")
@click.option("--database-url", required=True, envvar="ORDERSTREAM_DATABASE_URL", show_envvar=True, metavar="URL")
def main(database_url: str, writes: int | None, prices: Path | None, **options: Any) -> None:
    """Run the demo exchange: place, fill, cancel, refuse and expire the orders of many users.

    It knows the tables public.orders and public.executions, and nothing else. It goes on with the open
    orders that it finds, waits for a database that is away, and ends on Ctrl-C or SIGTERM after the write
    under way.
    """
    with asyncio.Runner() as runner:
        runner.run(_until_signalled(database_url, writes=writes or math.inf, prices_path=prices, **options))


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
