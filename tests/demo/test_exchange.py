"""The exchange against a real Postgres."""

import asyncio
import math
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from orderstream.demo import exchange

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
    async with exchange._tables(database) as tables:
        order = next(one for one in await tables.open_orders() if one.status in exchange.lives.AT_WORK)
        rows(database, f"update public.orders set reason = 'mine' where id = '{order.id}'")
        before = count(database, "executions")
        change = exchange.lives.fill(order, order.remaining_quantity, exchange.lives.plain(order.quantity))
        assert await tables.write(change) is None
        assert count(database, "executions") == before


async def test_oldest_ended_orders_are_swept_when_more_are_kept_than_the_bound(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only those that ended over an hour ago, and their executions go with them."""
    monkeypatch.setattr(exchange, "KEPT_ENDED", 5)
    await trade(database, writes=300)
    rows(
        database,
        "update public.orders set updated_at = updated_at - interval '2 hours' where status = 'filled'",
    )
    ended = rows(database, "select id from public.orders where status = 'filled' order by updated_at")
    async with exchange._tables(database) as tables:
        old = await tables.old_orders()
        assert [(str(one),) for one in old] == [(str(one),) for (one,) in ended[:-5]]
        await tables.delete(old)
    assert rows(database, "select count(*) from public.orders where status = 'filled'") == [(5,)]


async def test_error_is_raised_when_the_tables_are_missing(new_database: Callable[..., str]) -> None:
    """Waiting would not help."""
    with pytest.raises(psycopg2.ProgrammingError):
        await trade(new_database(migrated=False), writes=1)
