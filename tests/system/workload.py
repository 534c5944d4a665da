"""The randomized workload: writers on the tables, an audit beside them, and clients that come and go."""

import asyncio
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import datetime
from typing import Any

import aiohttp
import psycopg2

from tests.postgres.servers import TestServer
from tests.services import PATIENCE_S, Address
from tests.system.clients import ENDLESS, Frame, Stream
from tests.system.history import Arrived, Committed, Fact, Received, Snapshot
from tests.system.tables import insert_order

USERS = ["ann", "ben", "cai", "dee"]
STATUSES = ["submitted", "partially_filled", "pending_cancel", "cancelled", "filled"]

# Row by row and in the writer's transaction, so by another way than the product's: what is here was committed.
AUDIT = """
create table audit (user_id text not null, event text not null, subject_id text not null, version bigint not null);

create function audit_order() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and new.version = old.version then
        return null;
    end if;
    if tg_op = 'DELETE' or (tg_op = 'UPDATE' and new.user_id <> old.user_id) then
        insert into audit values (old.user_id, 'order-removed', old.id, 0);
    end if;
    if tg_op <> 'DELETE' then
        insert into audit values (new.user_id, 'order', new.id, new.version);
    end if;
    return null;
end $$;
create trigger audit after insert or update or delete on orders for each row execute function audit_order();

create function audit_execution() returns trigger language plpgsql as $$
begin
    insert into audit select o.user_id, 'execution', new.id, 0 from orders o where o.id = new.order_id;
    return null;
end $$;
create trigger audit after insert on executions for each row execute function audit_execution();
"""


class Writer:
    """One order service's session. What it does comes from its seed alone; nobody else writes its own orders in
    transactions of several statements, so whoever waits for a lock in there waits because of us."""

    def __init__(self, database: str, seed: int, number: int, shared: Sequence[str]) -> None:
        self._random = random.Random(f"{seed} writer {number}")
        self._prefix = f"w{number}"
        self._shared = shared
        self._own: list[str] = []
        self._session = psycopg2.connect(database, application_name=f"writer {number}")
        self._cursor = self._session.cursor()

    def run(self, transactions: int, gate: Callable[[], None]) -> None:
        """That many transactions; `gate` is called before each."""
        with closing(self._session):
            for user in 3 * USERS:
                self._insert(user)
            self._session.commit()
            for _ in range(transactions):
                gate()
                self._random.choice(_ACTIONS)(self)

    def several(self) -> None:
        """Orders of several users, which other writers take in the opposite order."""
        for order_id in self._random.sample(self._own, k=4):
            self._update(order_id)
        self._session.commit()

    def alone(self) -> None:
        """An order that all writers change, one statement a transaction."""
        self._update(self._random.choice(self._shared))
        self._session.commit()

    def undone_half(self) -> None:
        """What came after the savepoint never was."""
        self._update(self._random.choice(self._own))
        self._cursor.execute("savepoint half")
        self._update(self._random.choice(self._own))
        self._execution(self._random.choice(self._own))
        self._cursor.execute("rollback to half")
        self._execution(self._random.choice(self._own))
        self._session.commit()

    def undone(self) -> None:
        """Nothing of it ever was."""
        self._update(self._random.choice(self._own))
        self._cursor.execute("delete from orders where id = %s", [self._random.choice(self._own)])
        self._session.rollback()

    def bulk(self) -> None:
        """All of its orders in one statement; some do not change."""
        self._cursor.execute(
            "update orders set filled_quantity = least(filled_quantity + 1, 12) where client_order_id = %s",
            [self._prefix],
        )
        self._session.commit()

    def begun(self) -> None:
        """A new order and its first execution."""
        order_id = self._insert(self._random.choice(USERS))
        self._execution(order_id)
        self._session.commit()

    def moved(self) -> None:
        """An order that changes its user."""
        self._cursor.execute(
            "update orders set user_id = %s where id = %s",
            [self._random.choice(USERS), self._random.choice(self._own)],
        )
        self._session.commit()

    def deleted(self) -> None:
        order_id = self._own.pop(self._random.randrange(len(self._own)))
        self._cursor.execute("delete from orders where id = %s", [order_id])
        self._session.commit()
        self.begun()

    def _insert(self, user: str) -> str:
        order_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        insert_order(self._cursor, order_id, user, self._prefix)
        self._own.append(order_id)
        return order_id

    def _update(self, order_id: str) -> None:
        self._cursor.execute(
            "update orders set filled_quantity = filled_quantity + 1, status = %s where id = %s",
            [self._random.choice(STATUSES), order_id],
        )

    def _execution(self, order_id: str) -> None:
        self._cursor.execute(
            "insert into executions (order_id, symbol, side, quantity, price) values (%s, 'ACME', 'buy', 1, 9.5)",
            [order_id],
        )


_ACTIONS: list[Callable[[Writer], None]] = [
    *[Writer.several] * 4,
    *[Writer.alone] * 4,
    *[Writer.undone_half] * 2,
    Writer.undone,
    Writer.bulk,
    *[Writer.begun] * 2,
    Writer.moved,
    Writer.deleted,
]


class Gate:
    """Counts the transactions that began; a test waits for a share of them."""

    def __init__(self) -> None:
        self._passed = 0
        self._lock = threading.Lock()
        self._marks: dict[int, threading.Event] = {}

    def __call__(self) -> None:
        with self._lock:
            self._passed += 1
            if mark := self._marks.pop(self._passed, None):
                mark.set()

    def at(self, count: int) -> threading.Event:
        """Set when that many have begun; to be asked for before they do."""
        return self._marks.setdefault(count, threading.Event())


class Client:
    """Follows one user on any of the services, and changes between them and between the transports for no reason."""

    def __init__(self, name: str, user: str, seed: int, services: Sequence[Address], cursor: str | None) -> None:
        self._random = random.Random(f"{seed} client {name}")
        self._user = user
        self._services = services
        self._cursor = cursor
        self._parts: dict[str, int] = {}
        self._moved = asyncio.Event()
        self.received = Received(name, user, int(cursor.split(".")[1]) if cursor else None, [])
        self.connections = 0
        # From each write to its arrival here.
        self.ages_s: list[float] = []

    async def run(self) -> None:
        """For ever; what a service that dies leaves half sent is forgotten."""
        async with aiohttp.ClientSession() as session:
            while True:
                at = self._random.choice(self._services)
                follow = self._random.choice([self._stream, self._stream, self._poll])
                try:
                    await follow(session, at, self._random.randint(1, 60))
                except (aiohttp.ClientError, ConnectionError):
                    # Until the killed one is back, the connection is refused at once.
                    await asyncio.sleep(0.05)

    async def reached(self, seq: int) -> None:
        """Returns when it has been told everything up to `seq`."""
        while self._cursor is None or int(self._cursor.split(".")[1]) < seq:
            self._moved.clear()
            await self._moved.wait()

    async def _stream(self, session: aiohttp.ClientSession, at: Address, most: int) -> None:
        headers, parameters = at.bearer(self._user), dict[str, str]()
        if self._cursor is not None and self._random.random() < 0.5:
            headers["Last-Event-ID"] = self._cursor
        elif self._cursor is not None:
            parameters["cursor"] = self._cursor
        url = f"{at.url}/v1/orders/stream"
        async with session.get(url, headers=headers, params=parameters, timeout=ENDLESS) as response:
            assert response.status == 200
            self.connections += 1
            stream, taken = Stream(response), 0
            while taken < most and (frame := await stream.next()) is not None:
                taken += frame.id is not None
                self._take(frame)

    async def _poll(self, session: aiohttp.ClientSession, at: Address, most: int) -> None:
        for _ in range(most // 10 + 1):
            headers = at.bearer(self._user) | {"Prefer": "wait=1"}
            if self._cursor is not None:
                headers["If-None-Match"] = f'W/"{self._cursor}"'
            async with session.get(f"{at.url}/v1/orders/poll", headers=headers) as response:
                self.connections += 1
                if response.status == 200:
                    self._take_answer(await response.json())
                else:
                    assert response.status in (304, 503), await response.text()

    def _take_answer(self, body: dict[str, Any]) -> None:
        if "orders" in body:
            self._take(Frame("snapshot", {"orders": body["orders"]}, None))
            self._take(Frame("snapshot-end", {}, body["cursor"]))
        for event in body.get("events", []):
            self._take(Frame(event["event"], event["data"], event["id"]))

    def _take(self, frame: Frame) -> None:
        match frame.event:
            case "reset":
                raise AssertionError(f"nothing here makes a cursor useless: {frame.data}")
            case "snapshot":
                self._parts |= {order["id"]: order["version"] for order in frame.data["orders"]}
            case "snapshot-end":
                self._keep(frame, Snapshot(_seq(frame), self._parts))
                self._parts = {}
            case "order" | "execution" | "order-removed":
                self._keep(frame, Arrived(_seq(frame), _fact(frame)))
                if "written_at" in frame.data:
                    self.ages_s.append(time.time() - datetime.fromisoformat(frame.data["written_at"]).timestamp())
            case "retry" | "live":
                # A snapshot that was cut off is begun again.
                self._parts = {}

    def _keep(self, frame: Frame, item: Arrived | Snapshot) -> None:
        self._cursor = frame.id
        self.received.items.append(item)
        self._moved.set()


def _seq(frame: Frame) -> int:
    assert frame.id is not None
    return int(frame.id.split(".")[1])


def _fact(frame: Frame) -> Fact:
    match frame.event:
        case "order":
            return Fact("order", frame.data["order"]["id"], frame.data["order"]["version"])
        case "execution":
            return Fact("execution", frame.data["execution"]["id"])
        case _:
            return Fact("order-removed", frame.data["order_id"])


def prepare(database: str, seed: int) -> list[str]:
    """The audit, and an order of every user that all writers change."""
    ids = [str(uuid.UUID(int=random.Random(f"{seed} {user}").getrandbits(128), version=4)) for user in USERS]
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute(AUDIT)
        for user, order_id in zip(USERS, ids, strict=True):
            insert_order(cursor, order_id, user)
        session.commit()
    return ids


def clients_of(seed: int, services: Sequence[Address], epoch: str) -> list[Client]:
    """Three for each user: two that know nothing yet, and one that wants a snapshot."""
    return [
        Client(f"{user}-{kind}", user, seed, services, cursor)
        for user in USERS
        for kind, cursor in [("whole", f"{epoch}.0"), ("again", f"{epoch}.0"), ("snapshot", None)]
    ]


class Following:
    """Clients that run."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = clients
        self.tasks = [asyncio.create_task(client.run()) for client in clients]

    async def reached(self, truth: Committed) -> None:
        """Returns when all were told all of it; one that ends before has failed, and says how."""
        awaited = asyncio.gather(*[one.reached(truth.facts[one.received.user].total()) for one in self._clients])
        async with asyncio.timeout(PATIENCE_S):
            done, _ = await asyncio.wait([awaited, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
        for ended in done:
            ended.result()


@asynccontextmanager
async def running(clients: Sequence[Client]) -> AsyncIterator[Following]:
    """They follow meanwhile."""
    following = Following(clients)
    try:
        yield following
    finally:
        for task in following.tasks:
            task.cancel()
        await asyncio.gather(*following.tasks, return_exceptions=True)


def committed(database: str) -> Committed:
    """What the audit and the tables say."""
    facts: dict[str, Counter[Fact]] = {user: Counter() for user in USERS}
    orders: dict[str, dict[str, int]] = {user: {} for user in USERS}
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute("select user_id, event, subject_id, version from audit")
        for user, *fact in cursor.fetchall():
            facts[user][Fact(*fact)] += 1
        cursor.execute("select user_id, id::text, version from orders")
        for user, order_id, version in cursor.fetchall():
            orders[user][order_id] = version
    return Committed(facts, orders)


def deadlocks(postgres: TestServer, database: str) -> int:
    """As the server's log counts them: its statistics may be late."""
    name = f" {database.partition('@/')[2].partition('?')[0]} "
    lines = postgres.log_path.read_text(errors="replace").splitlines()
    return sum("deadlock detected" in line and name in line for line in lines)
