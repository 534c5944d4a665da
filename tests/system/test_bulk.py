"""A bulk update of 100,000 rows goes through the whole feed: every client gets its own part of it."""

import asyncio
import time

import aiohttp
import pytest

from tests.services import ServiceProcess
from tests.system.clients import open_stream
from tests.system.tables import epoch_of, execute

USERS = [f"user-{number}" for number in range(40)]
ORDERS = 100_000
ORDERS_PER_USER = ORDERS // len(USERS)

# Two busy cores take 8 s; slow ones, with more to do than they have time for, several times that.
WITHIN_S = 120.0

# As they were before there were triggers: nobody is told of them.
INSERT = """
set local session_replication_role = replica;
insert into orders (user_id, symbol, asset_class, side, order_type, platform, quantity, status, version)
select 'user-' || n %% %s, 'ACME', 'stock', 'buy', 'market', 'web', 1000, 'submitted', 1 from generate_series(1, %s) n
"""


@pytest.mark.system
async def test_update_of_100_000_orders_reaches_each_user_once_and_in_time(database: str) -> None:
    """One statement, spread over users: each gets the new version of each of its orders, numbered without a hole, and
    nothing of anybody else."""
    execute(database, INSERT, len(USERS), ORDERS)
    async with ServiceProcess(database, heartbeat_s=1.0) as served, aiohttp.ClientSession() as session:
        await served.ready()
        clients = [asyncio.create_task(follow(session, served, user, epoch_of(database))) for user in USERS]
        await served.logged("stream-opened", len(USERS))
        execute(database, "update orders set filled_quantity = filled_quantity + 1, status = 'partially_filled'")
        began = time.monotonic()
        received = await asyncio.gather(*clients)
        took_s = time.monotonic() - began

    ours = execute(database, "select user_id, array_agg((id::text, version)::text order by id) from orders group by 1")
    assert dict(zip(USERS, received, strict=True)) == dict(ours)
    assert took_s < WITHIN_S


async def follow(session: aiohttp.ClientSession, served: ServiceProcess, user: str, epoch: str) -> list[str]:
    """`(order id,version)` of all events until a heartbeat after there are as many as orders, by id; fails at a number
    that is not the next."""
    told: list[str] = []
    async with open_stream(session, served, user, query=f"{epoch}.0") as stream:
        await stream.until("live")
        while (frame := await stream.next()) and (frame.event != "heartbeat" or len(told) < ORDERS_PER_USER):
            if frame.event == "order":
                order = frame.data["order"]
                told.append(f"({order['id']},{order['version']})")
                assert frame.id == f"{epoch}.{len(told)}"
    return sorted(told)
