"""The sequencer's step as a model: sessions that write, commit and roll back, steps of any size, leaders that die in
one and others that take over, retention; in whatever order, on a real database.

Hypothesis chooses; `--hypothesis-profile long` lets it search for minutes. What was committed is the audit's word.
"""

from collections.abc import Sequence
from typing import Any

import psycopg2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from psycopg2.extensions import connection, cursor

from orderstream.core.events import SequencedEvent
from orderstream.postgres.queries import query
from tests.faults.audit import AUDIT, committed
from tests.faults.clients import fact_of, loads
from tests.faults.history import Arrived, Opened, Received, violations
from tests.postgres.feed import Steps, insert_order, insert_orders, opened, run
from tests.system.clients import Frame

USERS = ["ann", "ben", "cid"]
WRITERS = st.integers(0, 1)
MANY = 5
# Of a step: mostly fewer than wait, so that some are left for the next.
SIZES = st.integers(1, 6)


class Writer:
    """A session, and the orders that only it changes: no example waits for a lock."""

    def __init__(self, dsn: str) -> None:
        self._session = psycopg2.connect(dsn)
        self._orders: list[str] = []
        self._new: list[str] = []

    def write(self, user: str, order: int) -> None:
        """A new order, or one that moves or changes."""
        known = self._orders + self._new
        with self._session.cursor() as at:
            if order < len(known):
                at.execute(
                    "update public.orders set filled_quantity = filled_quantity + 1, user_id = %s where id = %s",
                    [user, known[order]],
                )
            else:
                self._new.append(insert_order(at, user))

    def write_many(self, user: str) -> None:
        """More in one statement than most steps take: five new orders, or all that there are by now."""
        known = self._orders + self._new
        with self._session.cursor() as at:
            if len(known) < MANY:
                insert_orders(at, [user], MANY)
                at.execute("select id::text from public.orders where xmin = pg_current_xact_id()::xid and version = 1")
                self._new = [order_id for (order_id,) in at.fetchall()]
            else:
                at.execute(
                    "update public.orders set filled_quantity = filled_quantity + 1 where id = any (%s::uuid[])",
                    [known],
                )

    def commit(self) -> None:
        self._session.commit()
        self._orders += self._new
        self._new = []

    def rollback(self) -> None:
        self._session.rollback()
        self._new = []

    def forget(self) -> None:
        self._orders = []


class Numbering(RuleBasedStateMachine):
    """Positions and each user's numbers are dense; every committed change once, after what its transaction saw."""

    def __init__(self, dsn: str, janitor: cursor, writers: Sequence[Writer]) -> None:
        super().__init__()
        self._dsn = dsn
        self._janitor = janitor
        self._writers = writers
        # What an example before left behind is numbered, and forgotten.
        janitor.execute("delete from public.orders")
        self._leader, self._steps = self._led()
        while self._steps.take():
            pass
        janitor.execute("delete from orderstream.events; delete from audit")
        janitor.execute("select position from orderstream.checkpoints order by id desc limit 1")
        [(self._position,)] = janitor.fetchall()
        self._told: list[SequencedEvent] = []

    @rule(number=WRITERS, user=st.sampled_from(USERS), order=st.integers(0, 5), commits=st.booleans())
    def writes(self, number: int, user: str, order: int, commits: bool) -> None:
        """A statement of a transaction, which may be the last."""
        self._writers[number].write(user, order)
        if commits:
            self._writers[number].commit()

    @rule(number=WRITERS, user=st.sampled_from(USERS), commits=st.booleans())
    def writes_many(self, number: int, user: str, commits: bool) -> None:
        """A statement that is large."""
        self._writers[number].write_many(user)
        if commits:
            self._writers[number].commit()

    @rule(number=WRITERS)
    def commits(self, number: int) -> None:
        self._writers[number].commit()

    @rule(number=WRITERS)
    def rolls_back(self, number: int) -> None:
        self._writers[number].rollback()

    @rule(size=SIZES)
    def steps(self, size: int) -> None:
        """What waits at its beginning; of that at least one, and no more than it may."""
        waiting = self._waiting()
        events = self._steps.take(size)
        assert min(waiting, 1) <= len(events) <= min(waiting, size)
        assert self._waiting() == waiting - len(events)
        self._told += events

    @rule(size=SIZES)
    def dies_within_a_step(self, size: int) -> None:
        """Before its commit: nothing of it may be there; another takes over."""
        with self._leader.cursor() as at:
            at.execute("begin")
            self._steps.take(size)
        self._leader.close()
        self._leader, self._steps = self._led()

    @rule()
    def retires(self) -> None:
        """All that retention would remove some time."""
        for name, parameters in [
            ("delete_outbox", {"from_xid": "0"}),
            ("delete_checkpoints", {}),
            ("delete_events", {"after": 0, "older_s": 0.0}),
        ]:
            self._janitor.execute(query(name), {"max_rows": 100, **parameters})

    def teardown(self) -> None:
        for writer in self._writers:
            writer.commit()
            writer.forget()
        while events := self._steps.take(3):
            self._told += events
        self._leader.close()
        first = self._position + 1
        assert [event.position for event in self._told] == list(range(first, first + len(self._told)))
        truth = committed(self._dsn)
        assert violations(truth, [self._received(user, truth.epochs[-1]) for user in USERS]) == []

    def _waiting(self) -> int:
        self._janitor.execute(query("look"), {"max_rows": 1000, "position": 0})
        [row] = self._janitor.fetchall()
        return int(row[2])

    def _led(self) -> tuple[connection, Steps]:
        session = psycopg2.connect(self._dsn)
        session.autocommit = True
        at = session.cursor()
        # As the leader does: planned once.
        at.execute("set enable_seqscan = off; set plan_cache_mode = force_generic_plan; set jit = off")
        return session, Steps(at)

    def _received(self, user: str, epoch: str) -> Received:
        """A client that was told everything."""
        events = [event for event in self._told if event.user_id == user]
        before = events[0].seq - 1 if events else 0
        items: list[Any] = [Opened("none", (epoch, 0))]
        for event in events:
            fact = fact_of(Frame(event.name, loads(event.body), None))
            items.append(Arrived(event.epoch, event.seq - before, fact))
        return Received("all", user, items)


def test_every_committed_change_is_numbered_once_and_after_what_it_saw(database: str) -> None:
    """Whatever happens, in whatever order."""
    run(database, AUDIT)
    # What a crash of the server would lose is not the question here, and each wait for the disk is one example less.
    run(
        database,
        "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$",
    )
    writers = [Writer(database), Writer(database)]
    with opened(database) as session, session.cursor() as janitor:
        few = settings(deadline=None, max_examples=settings().max_examples // 2)
        run_state_machine_as_test(lambda: Numbering(database, janitor, writers), settings=few)
