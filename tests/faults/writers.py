"""Order services at work: randomized transactions of several statements, users and kinds, some of them undone."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import psycopg2

from tests.faults.audit import AUDIT
from tests.postgres.servers import TestServer
from tests.system.tables import insert_order

USERS = ["ann", "ben", "cai", "dee"]
STATUSES = ["submitted", "partially_filled", "pending_cancel", "cancelled", "filled"]
# The order of each user whose `reason` says how far the run has come.
BEACON = "beacon"
# A database that is not there is asked again.
RETRY_S = 0.1


class Writer:
    """One order service's session. What it does comes from its seed alone; nobody else writes its own orders in
    transactions of several statements, so whoever waits for a lock in there waits because of us.

    A transaction that fails is not tried again: whether it was committed is for the audit to say.
    """

    def __init__(
        self, database: Callable[[], str], seed: int, number: int, shared: Sequence[str], users: Sequence[str] = USERS
    ) -> None:
        self._random = random.Random(f"{seed} writer {number}")
        self._database = database
        self._prefix = f"w{number}"
        self._shared = shared
        self._users = users
        self._own: list[str] = []
        self._session: Any = None
        self._cursor: Any = None
        self.failures: list[str] = []

    def run(self, gate: Callable[[], bool]) -> None:
        """One transaction after the other, as long as `gate`, which is asked before each, says so."""
        try:
            while gate():
                try:
                    if self._session is None:
                        self._open()
                    self._random.choice(_ACTIONS)(self)
                except psycopg2.Error as error:
                    self.failures.append(str(error).strip())
                    self._close()
                    time.sleep(RETRY_S)
        finally:
            self._close()

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
        order_id = self._insert(self._random.choice(self._users))
        self._execution(order_id)
        self._session.commit()
        self._own.append(order_id)

    def moved(self) -> None:
        """An order that changes its user."""
        self._cursor.execute(
            "update orders set user_id = %s where id = %s",
            [self._random.choice(self._users), self._random.choice(self._own)],
        )
        self._session.commit()

    def deleted(self) -> None:
        order_id = self._random.choice(self._own)
        self._cursor.execute("delete from orders where id = %s", [order_id])
        self._session.commit()
        self._own.remove(order_id)
        self.begun()

    def _open(self) -> None:
        self._session = psycopg2.connect(self._database(), application_name=self._prefix, connect_timeout=5)
        self._cursor = self._session.cursor()
        # What a lost commit left behind is known by the table only.
        self._cursor.execute("select id::text from orders where client_order_id = %s order by id", [self._prefix])
        self._own = [order_id for (order_id,) in self._cursor]
        if not self._own:
            self._own = [self._insert(user) for user in 3 * list(self._users)]
        self._session.commit()

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    def _insert(self, user: str) -> str:
        order_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        insert_order(self._cursor, order_id, user, self._prefix)
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
    """Lets so many transactions begin, a pause between any writer's two, until it is shut; a test waits for a share of
    them."""

    def __init__(self, most: float, pause_s: float = 0.0) -> None:
        self.passed = 0
        self.pause_s = pause_s
        self._most = most
        self._lock = threading.Lock()
        self._marks: dict[int, threading.Event] = {}
        self._shut = threading.Event()

    def __call__(self) -> bool:
        if self._shut.wait(self.pause_s):
            return False
        with self._lock:
            if self.passed >= self._most:
                return False
            self.passed += 1
            if mark := self._marks.pop(self.passed, None):
                mark.set()
            return True

    def shut(self) -> None:
        self._shut.set()

    def at(self, count: int) -> threading.Event:
        """Set when that many have begun; to be asked for before they do."""
        return self._marks.setdefault(count, threading.Event())


def prepare(database: str, seed: int, users: Sequence[str] = USERS) -> list[str]:
    """The audit, and the beacons, an order of every user that all writers change: their ids."""
    ids = [str(uuid.UUID(int=random.Random(f"{seed} {user}").getrandbits(128), version=4)) for user in users]
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute(AUDIT)
        for user, order_id in zip(users, ids, strict=True):
            insert_order(cursor, order_id, user, BEACON)
        session.commit()
    return ids


def deadlocks(postgres: TestServer, database: str) -> int:
    """As the server's log counts them: its statistics may be late."""
    name = f" {database.partition('@/')[2].partition('?')[0]} "
    lines = postgres.log_path.read_text(errors="replace").splitlines()
    return sum("deadlock detected" in line and name in line for line in lines)
