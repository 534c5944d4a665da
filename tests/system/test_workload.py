"""Many writers, two real services, a leader killed, clients that change between them: nothing lost, nothing twice."""

import asyncio
import threading
import uuid
from contextlib import AsyncExitStack, closing

import psycopg2
import pytest

from tests.faults.audit import committed
from tests.faults.clients import RawClient, clients_of, running
from tests.faults.history import violations
from tests.faults.writers import USERS, Gate, Writer, deadlocks, prepare
from tests.postgres.servers import TestServer
from tests.services import ServiceProcess
from tests.system.tables import epoch_of, insert_order
from tests.waiting import PATIENCE_S, eventually

WRITERS = 6
TRANSACTIONS = 60


@pytest.mark.system
@pytest.mark.every_postgres
async def test_every_client_receives_what_was_committed(
    seed: int, postgres: TestServer, database: str, request: pytest.FixtureRequest
) -> None:
    """Each change once, numbered without holes, versions rising, nothing of another user, the tables at the end; and no
    deadlock, and nobody waits for a transaction that is left open."""
    hold_s = float(request.config.getoption("--hold-s"))
    shared = prepare(database, seed)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(ServiceProcess(database))
        await first.logged("leadership-taken")
        second = await stack.enter_async_context(ServiceProcess(database))
        await asyncio.gather(first.ready(), second.ready())
        clients = clients_of(seed, [first, second], epoch_of(database))
        following = await stack.enter_async_context(running(clients))
        gate = Gate(WRITERS * TRANSACTIONS)
        third, half = gate.at(WRITERS * TRANSACTIONS // 3), gate.at(WRITERS * TRANSACTIONS // 2)
        writers = [Writer(lambda: database, seed, number, shared) for number in range(WRITERS)]
        writing = [asyncio.create_task(asyncio.to_thread(one.run, gate)) for one in writers]

        held = asyncio.create_task(hold_open(database, third, hold_s, clients))
        await asyncio.to_thread(half.wait, PATIENCE_S)
        first.kill()
        await second.logged("leadership-taken")
        await first.wait()
        await first.start()
        await asyncio.gather(*writing, held)

        truth = committed(database)
        await following.reached(truth)

    assert violations(truth, [client.received for client in clients]) == []
    assert [writer.failures for writer in writers] == [[]] * WRITERS
    assert deadlocks(postgres, database) == 0
    assert sum(client.connections for client in clients) > 2 * len(clients)


async def hold_open(database: str, due: threading.Event, hold_s: float, clients: list[RawClient]) -> None:
    """Leaves a write transaction open; what others commit meanwhile arrives, and its own afterwards."""
    await asyncio.to_thread(due.wait, PATIENCE_S)
    with closing(psycopg2.connect(database)) as open_session, closing(psycopg2.connect(database)) as other:
        insert_order(open_session.cursor(), str(uuid.uuid4()), USERS[0])
        marker = str(uuid.uuid4())
        insert_order(other.cursor(), marker, USERS[0])
        other.commit()
        await eventually(lambda: any(marker in str(client.received.items[-200:]) for client in clients))
        # What is tested is that this time passes: the rest of the workload runs beside it.
        await asyncio.sleep(hold_s)
        open_session.commit()
