"""Many writers, two real services, a leader killed, clients that change between them: nothing lost, nothing twice."""

import asyncio
import random
import threading
import uuid
from contextlib import AsyncExitStack, closing

import psycopg2
import pytest

from tests.postgres.servers import TestServer
from tests.services import PATIENCE_S, ServiceProcess
from tests.system.history import violations
from tests.system.tables import epoch_of, insert_order
from tests.system.workload import AUDIT, USERS, Client, Gate, Writer, committed
from tests.waiting import eventually

WRITERS = 6
TRANSACTIONS = 60


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Given by --seed, else a new one; a failure shows it."""
    given = request.config.getoption("--seed")
    chosen = random.randrange(1 << 32) if given is None else int(given)
    print(f"repeat with --seed {chosen}")
    return chosen


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
        epoch = epoch_of(database)
        clients = [
            Client(f"{user}-{kind}", user, seed, [first, second], cursor)
            for user in USERS
            for kind, cursor in [("whole", f"{epoch}.0"), ("again", f"{epoch}.0"), ("snapshot", None)]
        ]
        following = [asyncio.create_task(client.run()) for client in clients]
        gate = Gate()
        third, half = gate.at(WRITERS * TRANSACTIONS // 3), gate.at(WRITERS * TRANSACTIONS // 2)
        writers = [Writer(database, seed, number, shared) for number in range(WRITERS)]
        writing = [asyncio.create_task(asyncio.to_thread(one.run, TRANSACTIONS, gate)) for one in writers]

        held = asyncio.create_task(hold_open(database, third, hold_s, clients))
        await asyncio.to_thread(half.wait, PATIENCE_S)
        first.kill()
        await second.logged("leadership-taken")
        await first.wait()
        await first.start()
        await asyncio.gather(*writing, held)

        truth = committed(database)
        async with asyncio.timeout(PATIENCE_S):
            await first_of(
                asyncio.gather(*[one.reached(truth.facts[one.received.user].total()) for one in clients]), *following
            )
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    assert violations(truth, [client.received for client in clients]) == []
    assert deadlocks(postgres, database) == 0
    assert sum(client.connections for client in clients) > 2 * len(clients)


async def hold_open(database: str, due: threading.Event, hold_s: float, clients: list[Client]) -> None:
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


def prepare(database: str, seed: int) -> list[str]:
    """The audit, and an order of every user that all writers change."""
    ids = [str(uuid.UUID(int=random.Random(f"{seed} {user}").getrandbits(128), version=4)) for user in USERS]
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute(AUDIT)
        for user, order_id in zip(USERS, ids, strict=True):
            insert_order(cursor, order_id, user)
        session.commit()
    return ids


def deadlocks(postgres: TestServer, database: str) -> int:
    """As the server's log counts them: its statistics may be late."""
    name = f" {database.partition('@/')[2].partition('?')[0]} "
    lines = postgres.log_path.read_text(errors="replace").splitlines()
    return sum("deadlock detected" in line and name in line for line in lines)


async def first_of(awaited: asyncio.Future[object], *tasks: asyncio.Task[None]) -> None:
    """Waits for `awaited`; a task that ends before it has failed, and says how."""
    done, _ = await asyncio.wait([awaited, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for ended in done:
        ended.result()
