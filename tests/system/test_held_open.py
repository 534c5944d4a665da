"""A write transaction left open for a minute beside the randomized workload: nobody else waits for it.

By itself, and mostly waiting: what a minute of it shows is not shown faster.
"""

import asyncio
import statistics
from contextlib import AsyncExitStack, closing

import psycopg2
import pytest

from tests.faults.audit import committed
from tests.faults.clients import clients_of, running
from tests.faults.history import violations
from tests.faults.writers import USERS, Gate, Writer, deadlocks, prepare
from tests.postgres.servers import TestServer
from tests.services import ServiceProcess
from tests.system.tables import epoch_of, keep_awake

HOLD_S = 60.0
WRITERS = 3
PAUSE_S = 0.5

# Whoever waited for the open transaction would be a minute late; a busy machine is late by its own.
LATEST_S = 20.0
USUALLY_S = 2.0


@pytest.mark.system
async def test_nobody_is_delayed_while_a_write_transaction_is_open_for_a_minute(
    seed: int, postgres: TestServer, database: str
) -> None:
    """What others commit meanwhile arrives as if it were not there, on the same user's streams too; its own changes
    arrive when it commits, and nothing is lost or told twice."""
    gate = Gate(WRITERS * int(HOLD_S / PAUSE_S), PAUSE_S)

    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(ServiceProcess(database)) for _ in range(2)]
        await asyncio.gather(*[service.ready() for service in services])
        shared = prepare(database, seed)
        clients = clients_of(seed, services, epoch_of(database))
        following = await stack.enter_async_context(running(clients))
        # A test that fails does not wait for its writers' minute.
        stack.callback(gate.shut)
        with closing(psycopg2.connect(database)) as left_open, left_open.cursor() as cursor:
            keep_awake(database, cursor, USERS[0])
            writers = [Writer(lambda: database, seed, number, shared) for number in range(WRITERS)]
            writing = [asyncio.to_thread(one.run, gate) for one in writers]
            await asyncio.gather(asyncio.sleep(HOLD_S), *writing)
            await following.reached(committed(database))
            ages_s = sorted(age_s for client in clients for age_s in client.ages_s)
            left_open.commit()
        truth = committed(database)
        await following.reached(truth)

    assert ages_s[-1] < LATEST_S
    assert statistics.median(ages_s) < USUALLY_S
    assert violations(truth, [client.received for client in clients]) == []
    assert [writer.failures for writer in writers] == [[]] * WRITERS
    assert deadlocks(postgres, database) == 0
