"""What a service asks Postgres while nothing happens: it waits for the doorbell, and polls only where it must.

How fast it is when something does is measured by hand, with `scripts/latency`: a busy machine would fail a test of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import closing

import aiohttp
import psycopg2
import pytest

from tests.postgres.servers import TestServer
from tests.services import RunningService, running_service
from tests.system.clients import open_stream
from tests.system.tables import asleep, keep_awake, write_orders
from tests.waiting import eventually

# The pause between looks doubles from 1 ms to 20 ms; two statements a look.
LOOKS_UNTIL_SLOWEST = 20
# As many as that are asked in a second at least.
LOOKED_AT = 100


@pytest.fixture
async def served(database: str) -> AsyncIterator[RunningService]:
    """Caught up, with a live stream, and every statement in the server's log."""
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute(f"alter database {session.info.dbname} set log_statement = 'all'")
        session.commit()
    async with (
        # Its sweeps are counted in tests/postgres/test_doorbell.py, over many of them.
        running_service(database, retention_every_s=60.0) as running,
        aiohttp.ClientSession() as session,
        open_stream(session, running, "ann") as stream,
    ):
        await stream.until("live")
        write_orders(database, "ann", 1)
        await stream.until("order")
        yield running


def statements(postgres: TestServer, database: str) -> int:
    """Those of the service, so far."""
    name = psycopg2.extensions.parse_dsn(database)["dbname"]
    lines = postgres.log_path.read_text(errors="replace").splitlines()
    return sum(" statement: " in line and f" {name} " in line and "] orderstream" in line for line in lines)


@pytest.mark.system
async def test_idle_service_asks_at_most_one_query_a_second(
    served: RunningService, postgres: TestServer, database: str
) -> None:
    """Nobody's change is looked for: it rings."""
    await eventually(lambda: asleep(database))
    began, before = time.monotonic(), statements(postgres, database)
    # What is tested is how little happens in a time, which is longer than between two of anything.
    await asyncio.sleep(8)
    assert statements(postgres, database) - before <= time.monotonic() - began


@pytest.mark.system
async def test_service_asks_at_most_a_hundred_queries_a_second_while_an_order_transaction_is_open(
    served: RunningService, postgres: TestServer, database: str
) -> None:
    """It polls for the commit that will not ring, ever slower down to a bound."""
    with closing(psycopg2.connect(database)) as left_open, left_open.cursor() as cursor:
        # The service is on this loop, and must get up meanwhile.
        await asyncio.to_thread(keep_awake, database, cursor)
        awake = statements(postgres, database)
        await eventually(lambda: statements(postgres, database) > awake + LOOKS_UNTIL_SLOWEST)
        began, before = time.monotonic(), statements(postgres, database)
        await eventually(lambda: statements(postgres, database) >= before + LOOKED_AT)
        asked, seconds = statements(postgres, database) - before, time.monotonic() - began
    assert asked <= seconds * 100
