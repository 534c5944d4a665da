"""The exchange against a real Postgres."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from orderstream.demo import exchange, lives, prices, tables
from orderstream.demo.market import SYMBOLS
from tests.waiting import eventually

SUMS = """
    select count(*)
    from public.orders o
    left join (
        select order_id, sum(quantity) as quantity, sum(quantity * price) / sum(quantity) as mean
        from public.executions group by order_id
    ) e on e.order_id = o.id
    where o.filled_quantity <> coalesce(e.quantity, 0)
       or abs(o.average_price - e.mean) > 0.000000005
       or (o.average_price is null) <> (e.mean is null)
       or o.filled_quantity > o.quantity
       or (o.status = 'filled') <> (o.filled_quantity = o.quantity)
"""


def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(dsn)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def count(dsn: str, table: str) -> int:
    return int(rows(dsn, f"select count(*) from public.{table}")[0][0])


async def trade(dsn: str, *, writes: float, report: Callable[[str], None] = lambda line: None) -> None:
    async with asyncio.timeout(60):
        await exchange.run(
            dsn, rate=math.inf, seed=1, stop=asyncio.Event(), report=report, writes=writes, connections=4
        )


async def test_tables_add_up_when_several_connections_write_at_full_speed(database: str) -> None:
    """Every order agrees with its executions, and each write was one committed change."""
    await trade(database, writes=1_500)
    assert rows(database, SUMS) == [(0,)]
    assert rows(database, "select sum(version) from public.orders") == [(1_500,)]
    assert count(database, "executions") > 300


async def test_open_orders_go_on_when_the_exchange_is_started_again(database: str) -> None:
    """It takes over what it finds, and its sums stay right."""
    await trade(database, writes=400)
    lines: list[str] = []
    await trade(database, writes=800, report=lines.append)
    assert int(lines[0].split()[2]) > 0
    assert rows(database, SUMS) == [(0,)]


async def test_trading_goes_on_when_the_database_was_away(database: str) -> None:
    """It says so in one line, waits, and lays the floor out from the table."""
    lines: list[str] = []

    def cut_once(line: str) -> None:
        lines.append(line)
        if len(lines) == 1:
            others = "datname = current_database() and application_name = 'demo exchange'"
            rows(database, f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")

    await trade(database, writes=500, report=cut_once)
    assert [line.partition("(")[0].partition(",")[0] for line in lines] == [
        "trading", "the database is away ", "trading",
    ]  # fmt: skip
    assert rows(database, SUMS) == [(0,)]


async def test_order_is_read_again_when_somebody_else_changed_it(database: str) -> None:
    """A change of another writer is never overwritten: the write is refused, and nothing of it is left."""
    await trade(database, writes=300)
    async with tables.open_tables(database, "a test") as opened:
        order = next(one for one in await opened.open_orders() if one.status in lives.AT_WORK)
        rows(database, f"update public.orders set reason = 'mine' where id = '{order.id}'")
        before = count(database, "executions")
        change = lives.fill(order, order.remaining_quantity, lives.plain(order.quantity))
        assert await opened.write(change) is None
        assert count(database, "executions") == before


async def test_oldest_ended_orders_are_swept_when_more_are_kept_than_the_bound(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those that ended over an hour ago, and their executions go with them."""
    monkeypatch.setattr(tables, "KEPT_ENDED", 5)
    await trade(database, writes=300)
    rows(
        database,
        "update public.orders set updated_at = updated_at - interval '2 hours' where status = 'filled'",
    )
    ended = rows(database, "select id from public.orders where status = 'filled' order by updated_at")
    async with tables.open_tables(database, "a test") as opened:
        old = await opened.old_orders()
        assert [(str(one),) for one in old] == [(str(one),) for (one,) in ended[:-5]]
        await opened.delete(old)
    assert rows(database, "select count(*) from public.orders where status = 'filled'") == [(5,)]


INSERT = """
    insert into public.orders (user_id, client_order_id, symbol, asset_class, side, order_type, time_in_force, platform,
        quantity, price, status)
    values ('ann', 'page-1', 'BTC-USD', 'crypto', 'buy', '{}', 'gtc', 'web', 0.01, {}, '{}') returning id
"""


@asynccontextmanager
async def trading(dsn: str, prices_path: Path) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = exchange.run(
        dsn, rate=50, seed=1, stop=stop, report=lambda line: None, connections=1, prices_path=prices_path
    )
    task = asyncio.create_task(running)
    yield
    stop.set()
    await task


async def test_order_is_filled_when_somebody_else_placed_it(database: str, tmp_path: Path) -> None:
    """The exchange finds it in the table while it trades, and posts its prices meanwhile."""
    async with trading(database, tmp_path / "prices.json"):
        await eventually((tmp_path / "prices.json").exists)
        ((order_id,),) = rows(database, INSERT.format("market", "null", "pending_new"))
        await eventually(lambda: rows(database, f"select status from orders where id = '{order_id}'") == [("filled",)])
    assert set(prices.read(tmp_path / "prices.json").prices) == set(SYMBOLS)


async def test_order_is_cancelled_when_its_user_asked(database: str, tmp_path: Path) -> None:
    """Far from the market it waits, and the crowd's whims do not touch it."""
    async with trading(database, tmp_path / "prices.json"):
        ((order_id,),) = rows(database, INSERT.format("limit", "80000", "pending_new"))
        look = f"select status from public.orders where id = '{order_id}'"
        await eventually(lambda: rows(database, look) == [("submitted",)])
        async with tables.open_tables(database, "a test") as opened:
            assert not await opened.ask_to_cancel("ben", UUID(order_id))
            assert await opened.ask_to_cancel("ann", UUID(order_id))
        await eventually(lambda: rows(database, look) == [("cancelled",)])


async def test_error_is_raised_when_the_tables_are_missing(new_database: Callable[..., str]) -> None:
    """Waiting would not help."""
    with pytest.raises(psycopg2.ProgrammingError):
        await trade(new_database(migrated=False), writes=1)
