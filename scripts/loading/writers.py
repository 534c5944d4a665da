"""What changes orders meanwhile, in a thread of its own: through the database, or as a person does at the demo's
desk."""

import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPException
from typing import Any

import psycopg2

from scripts.fleet.connection import Target
from scripts.loading.users import Unusable, User, connect

_CLOCK_QUESTIONS = 9
_INSERT = """
insert into public.orders (user_id, symbol, asset_class, side, order_type, platform, quantity, status)
select name, 'LOAD', 'stock', 'buy', 'market', 'web', 1000000000, 'submitted' from unnest(%s) as name
returning id
"""
_UPDATE = "update public.orders set filled_quantity = filled_quantity + 1 where id = %s"
_DELETE = "delete from public.orders where id = any(%s::uuid[])"
_AT_A_TIME = 1000


class Writer(ABC):
    """Writes `per_s` times a second from `start` to `stop`. `written` is how often it did; `trouble` what ended it."""

    def __init__(self, per_s: float) -> None:
        self.written = 0
        self.trouble: str | None = None
        self._per_s = per_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")

    @abstractmethod
    def prepare(self) -> None:
        """Before anybody streams; raises Unusable."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when it is done, and has cleared up."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.clear_up()

    @abstractmethod
    def write(self) -> None:
        """Once. Raises what ends the writing."""

    @abstractmethod
    def clear_up(self) -> None:
        """Nothing of it is left where it wrote."""

    def _run(self) -> None:
        began = time.monotonic()
        try:
            while not self._stopping.wait(max(0.0, began + self.written / self._per_s - time.monotonic())):
                self.write()
                self.written += 1
        except (psycopg2.Error, OSError, HTTPException, Unusable) as error:
            self.trouble = str(error).strip().partition("\n")[0]


class TableWriter(Writer):
    """Gives each user an order of its own, updates them at random, and takes them away at the end.

    `offset_s` is what the database's clock is ahead of ours, give or take `offset_within_s`.
    """

    def __init__(self, dsn: str, users: Sequence[User], per_s: float) -> None:
        super().__init__(per_s)
        self._dsn = dsn
        self._users = users
        self._session: Any = None
        self._ids: list[str] = []
        self.offset_s = 0.0
        self.offset_within_s = 0.0

    def prepare(self) -> None:
        try:
            self._session = psycopg2.connect(self._dsn)
            self._session.autocommit = True
            self._ask_for_its_clock()
            names = [user.name for user in self._users]
            for first in range(0, len(names), _AT_A_TIME):
                self._ids += [row[0] for row in self._run_sql(_INSERT, [names[first : first + _AT_A_TIME]])]
        except psycopg2.Error as error:
            self.clear_up()
            raise Unusable(f"--dsn: {str(error).strip().splitlines()[0]}") from None

    def write(self) -> None:
        self._run_sql(_UPDATE, [random.choice(self._ids)])

    def clear_up(self) -> None:
        if self._session is None:
            return
        with closing(psycopg2.connect(self._dsn)) as session, session.cursor() as cursor:
            session.autocommit = True
            for first in range(0, len(self._ids), _AT_A_TIME):
                cursor.execute(_DELETE, [self._ids[first : first + _AT_A_TIME]])
        self._session.close()
        self._session = None

    def _ask_for_its_clock(self) -> None:
        # The quickest answer is the one that says most: its moment lies between the question and the answer.
        tries = []
        for _ in range(_CLOCK_QUESTIONS):
            asked = time.time()
            ((theirs,),) = self._run_sql("select extract(epoch from clock_timestamp())::float8")
            answered = time.time()
            tries.append((answered - asked, theirs - (asked + answered) / 2))
        took_s, self.offset_s = min(tries)
        self.offset_within_s = took_s / 2

    def _run_sql(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self._session.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []


class DeskWriter(Writer):
    """Places small orders at the demo's desk, as its page does; the demo's exchange does the rest."""

    def __init__(self, target: Target, users: Sequence[User], per_s: float) -> None:
        super().__init__(per_s)
        self._target = target
        self._users = users
        self._connection = connect(target)

    def prepare(self) -> None:
        """Nothing: each order is placed when its turn comes."""

    def write(self) -> None:
        user = random.choice(self._users)
        headers = {
            "Content-Type": "application/json",
            "Authorization": user.authorization.decode().partition(": ")[2].strip(),
        }
        form = {"symbol": "BTC-USD", "side": "buy", "order_type": "market", "quantity": "0.001"}
        self._connection.request("POST", f"{self._target.path}/demo/orders", json.dumps(form), headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise Unusable(f"the demo's desk answered {answer.status}")

    def clear_up(self) -> None:
        self._connection.close()
