"""A feed on a test database: who writes orders, who counts, and the parts that number and follow."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import connection, cursor

from orderstream.core.events import SequencedEvent
from orderstream.postgres.sequencer import Sequencer, SequencerSettings
from orderstream.postgres.steps import NUMBER, PREPARE_STEPS, Taken, share_of

USUAL = {
    "symbol": "AAPL",
    "asset_class": "stock",
    "side": "buy",
    "order_type": "limit",
    "platform": "web",
    "quantity": 10,
    "price": "230.50",
    "status": "submitted",
}


@contextmanager
def opened(dsn: str, *, autocommit: bool = True) -> Iterator[connection]:
    """A session, closed at the end; where not `autocommit`, what was not committed is rolled back."""
    session = psycopg2.connect(dsn)
    session.autocommit = autocommit
    try:
        yield session
    finally:
        session.close()


def run(dsn: str, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """One statement in a session of its own; its rows."""
    with opened(dsn) as session, session.cursor() as at:
        at.execute(sql, parameters)
        return at.fetchall() if at.description else []


def insert_order(at: cursor, user_id: str, **columns: Any) -> str:
    """A new order, by default a submitted one for 10 AAPL; its id."""
    row = {**USUAL, "user_id": user_id, **columns}
    names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    at.execute(f"insert into public.orders ({names}) values ({places}) returning id::text", row)
    [(order_id,)] = at.fetchall()
    return str(order_id)


def insert_orders(at: cursor, users: Sequence[str], count: int) -> None:
    """`count` orders in one statement, given to `users` in turn."""
    at.execute(
        "insert into public.orders (user_id, symbol, asset_class, side, order_type, platform, quantity, status) "
        "select (%s::text[])[1 + n %% %s], 'AAPL', 'stock', 'buy', 'market', 'web', 1 + n, 'submitted' "
        "from generate_series(0, %s - 1) n",
        (list(users), len(users), count),
    )


def insert_execution(at: cursor, order_id: str, **columns: Any) -> str:
    """A new execution, by default a trade of 4 AAPL; its id."""
    row = {"order_id": order_id, "symbol": "AAPL", "side": "buy", "quantity": "4.0", "price": "230.10", **columns}
    names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    at.execute(f"insert into public.executions ({names}) values ({places}) returning id::text", row)
    [(execution_id,)] = at.fetchall()
    return str(execution_id)


def outbox(at: cursor) -> list[tuple[str, str, dict[str, Any]]]:
    """`(user_id, event, body)` of every row, in order."""
    at.execute("select user_id, event, body from orderstream.outbox order by id")
    return [(user_id, event, json.loads(body)) for user_id, event, body in at.fetchall()]


class Steps:
    """The sequencer's own statements, one step at a time, from a session without a lock; nothing is checked."""

    def __init__(self, at: cursor) -> None:
        self._at = at
        at.execute(PREPARE_STEPS)

    def look(self, max_events: int = 1000) -> list[tuple[Any, ...]]:
        """The first half."""
        self._at.execute(f"execute take ({max_events}, false)")
        rows = self._at.fetchall()
        if Taken(rows).crowded:
            self._at.execute(f"execute share ({max_events - share_of(max_events)}, {share_of(max_events)})")
            rows = self._at.fetchall()
        return rows

    def number(self, rows: list[tuple[Any, ...]]) -> list[SequencedEvent]:
        """The second half, of what the first gave."""
        taken = Taken(rows)
        if not taken.ids and not taken.crowded:
            return []
        self._at.execute(NUMBER, taken.parameters({}))
        return taken.numbered({}) if self._at.fetchall() else []

    def take(self, max_events: int = 1000) -> list[SequencedEvent]:
        """Both."""
        return self.number(self.look(max_events))


class CountingMeter:
    """A Meter that counts its calls by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.counts.update([name])


class Numbered:
    """What one sequencer handed over, and its meter."""

    def __init__(self) -> None:
        self.events: list[SequencedEvent] = []
        self.meter = CountingMeter()
        self.sequencer: Sequencer | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def leading(self) -> bool:
        return self.sequencer is not None and self.sequencer.leading


@asynccontextmanager
async def sequencing(dsn: str, *, number: Numbered | None = None, **settings: Any) -> AsyncIterator[Numbered]:
    """A sequencer that runs meanwhile, and leads soon unless another does. Only the doorbell wakes it by default."""
    number = number or Numbered()
    usual = {"safety_net_s": 60.0, "idle_session_timeout_s": 0.0, "election_s": 0.1}
    number.sequencer = Sequencer(dsn, SequencerSettings(**usual | settings), number.events.extend, number.meter)
    number.task = asyncio.create_task(number.sequencer.run())
    try:
        yield number
    finally:
        number.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await number.task


def committed_events(dsn: str) -> list[SequencedEvent]:
    """The table, by position."""
    rows = run(
        dsn,
        "select position, user_id, epoch, seq, event, body, extract(epoch from written_at)::float8 "
        "from orderstream.events order by position",
    )
    return [SequencedEvent(*row) for row in rows]


def assert_dense(events: Sequence[SequencedEvent]) -> None:
    """Positions over all, and numbers per user, are 1, 2, 3 … in this order; versions of an order rise."""
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    heads: Counter[str] = Counter()
    versions: dict[tuple[str, str], int] = {}
    for event in events:
        heads[event.user_id] += 1
        assert event.seq == heads[event.user_id]
        if event.name == "order":
            order = json.loads(event.body)["order"]
            key = (event.user_id, order["id"])
            assert order["version"] > versions.get(key, 0)
            versions[key] = order["version"]
