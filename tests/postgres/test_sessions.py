"""What processes tell each other of their open streams, and of sessions that were ended, on a real server."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from orderstream.core.claims import Identity
from orderstream.core.cursor import Cursor
from orderstream.core.devices import Device
from orderstream.errors import DatabaseUnavailable
from orderstream.metrics import PrometheusMeter
from orderstream.postgres import sessions as adapter
from orderstream.postgres.pool import Pool
from orderstream.postgres.retention import Retention, RetentionSettings
from orderstream.postgres.sessions import PostgresSessions, SessionSettings
from orderstream.sessions import OpenDelivery, Sessions
from tests.postgres.feed import run
from tests.postgres.roles import separated
from tests.postgres.servers import TestServer
from tests.services import PATIENCE_S
from tests.waiting import eventually

PHONE = Identity("ann", "phone", 2e9)
BEN = Identity("ben", "phone", 2e9)
DEVICE = Device("mobile", "203.0.113.0/24")


class Stream(OpenDelivery):
    """One whose cursor is that of its node."""

    transport = "sse"

    def __init__(self, node: "Node", identity: Identity) -> None:
        super().__init__(identity, DEVICE)
        self._node = node

    @property
    def cursor(self) -> Cursor:
        return self._node.cursor

    def revoke(self) -> None:
        """Nothing would end."""


class Node:
    """One process: its books, and what writes them."""

    def __init__(self, dsn: str) -> None:
        self.pool = Pool(dsn, size=2, timeout_s=PATIENCE_S)
        self.sessions = Sessions(linger_s=60.0, max_polling=100)
        self.store = PostgresSessions(self.pool, self.sessions, SessionSettings(), PrometheusMeter())
        self.cursor = Cursor("0a0a0a0a", 7)

    def stream(self, identity: Identity = PHONE) -> OpenDelivery:
        stream = Stream(self, identity)
        self.sessions.open_stream(stream)
        return stream

    async def seen(self, user_id: str = "ann") -> list[tuple[str, str | None]]:
        """Session and cursor of what the others have open."""
        return [(one.session_id, one.cursor) for one in await self.store.open_elsewhere(user_id)]


@pytest.fixture
async def new_node(database: str) -> AsyncIterator[Callable[[], Node]]:
    nodes: list[Node] = []

    def create() -> Node:
        nodes.append(Node(database))
        return nodes[-1]

    yield create
    for node in nodes:
        await node.pool.close()


NewNode = Callable[[], Node]


def rows(dsn: str, table: str) -> int:
    [(count,)] = run(dsn, f"select count(*) from orderstream.{table}")
    return int(count)


def forget(dsn: str) -> None:
    """As after a crash of the server: what is not logged is empty."""
    run(dsn, "truncate orderstream.nodes, orderstream.deliveries")


async def test_others_see_what_was_opened_moved_and_closed(new_node: NewNode) -> None:
    """Whole, and only of that user; a process reads its own from its books."""
    one, other = new_node(), new_node()
    stream = one.stream()
    one.stream(BEN)
    await one.store.write()
    [shown] = await other.store.open_elsewhere("ann")
    assert shown == stream.listed()._replace(opened_at=pytest.approx(stream.opened_at))
    assert await one.seen() == []
    one.cursor = Cursor("0a0a0a0a", 8)
    one.sessions.look_at_cursors(1.0)
    await one.store.write()
    assert await other.seen() == [("phone", "0a0a0a0a.8")]
    one.sessions.close(stream)
    await one.store.write()
    assert await other.seen() == []


async def test_ten_thousand_reconnects_are_a_few_queries(new_node: NewNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """And when nothing changed, none until the next sign of life is due."""
    one, other = new_node(), new_node()
    queries = 0
    fetch = one.pool.fetch

    async def counting(*arguments: object) -> object:
        nonlocal queries
        queries += 1
        return await fetch(*arguments)

    monkeypatch.setattr(one.pool, "fetch", counting)
    for number in range(10_000):
        one.stream(Identity(f"user-{number}", "phone", 2e9))
    for _ in range(20):
        await one.store.write()
    assert queries == 10
    assert await other.seen("user-9999") == [("phone", "0a0a0a0a.7")]


async def test_lost_database_loses_no_change(new_node: NewNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is written when it can be again."""
    one, other = new_node(), new_node()
    kept, gone = one.stream(), one.stream()
    await one.store.write()

    async def away(*_: object) -> None:
        raise DatabaseUnavailable("the database does not answer")

    with monkeypatch.context() as lost:
        lost.setattr(one.pool, "fetch", away)
        one.sessions.close(gone)
        one.stream(Identity("ann", "tablet", 2e9))
        with suppress(DatabaseUnavailable):
            await one.store.write()
    await one.store.write()
    assert sorted(await other.seen()) == [("phone", str(kept.cursor)), ("tablet", str(kept.cursor))]


async def test_everything_is_written_again_when_the_server_forgot(new_node: NewNode, database: str) -> None:
    """The tables are not logged: a crash of the server empties them."""
    one, other = new_node(), new_node()
    one.stream()
    await one.store.write()
    forget(database)
    one.stream(Identity("ann", "tablet", 2e9))
    await one.store.write()
    await one.store.write()
    assert sorted(session_id for session_id, _ in await other.seen()) == ["phone", "tablet"]


async def test_streams_of_a_process_that_is_gone_are_ignored_and_removed(new_node: NewNode, database: str) -> None:
    """At once where it said goodbye, else once it missed three signs of life; of those that live nothing is removed."""
    stopped, killed, living = new_node(), new_node(), new_node()
    for node in (stopped, killed, living):
        node.stream()
        await node.store.write()

    async def has_left() -> bool:
        # Its goodbye is given up where the database does not take it at once.
        await stopped.store.leave()
        return len(await living.seen()) == 1

    await eventually(has_left)
    run(
        database,
        "update orderstream.nodes set seen_at = now() - interval '31 s' where id = %s",
        [killed.store._node_id],
    )
    assert await living.seen() == []
    run(
        database,
        "update orderstream.nodes set seen_at = now() - interval '61 s' where id = %s",
        [killed.store._node_id],
    )
    await Retention(living.pool, RetentionSettings(), lambda: True, PrometheusMeter()).sweep()
    assert (rows(database, "nodes"), rows(database, "deliveries")) == (1, 1)


async def test_process_that_was_taken_for_gone_comes_back_whole(new_node: NewNode, database: str) -> None:
    """It was only suspended: its row is gone, and that tells it."""
    one, other = new_node(), new_node()
    one.stream()
    await one.store.write()
    run(database, "update orderstream.nodes set seen_at = now() - interval '61 s'")
    await Retention(one.pool, RetentionSettings(), lambda: True, PrometheusMeter()).sweep()
    assert rows(database, "deliveries") == 0
    one.stream(Identity("ann", "tablet", 2e9))
    await one.store.write()
    await one.store.write()
    assert len(await other.seen()) == 2


async def test_session_is_ended_here_when_revoke_returns(new_node: NewNode, database: str) -> None:
    """Twice is once, and stays as long as the later one says."""
    node = new_node()
    for _ in range(2):
        await node.store.revoke(PHONE, "phone")
        assert node.sessions.is_revoked(PHONE)
    assert run(database, "select kept_until > now() + interval '29 days' from orderstream.revocations") == [(True,)]


async def test_made_up_sessions_crowd_out_no_real_one(
    new_node: NewNode, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief with one session ends any number of names: none is refused, and what goes again is the thief's own."""
    monkeypatch.setattr(adapter, "_MAX_UNKNOWN_PER_USER", 3)
    node, other = new_node(), new_node()
    thief, owner = Identity("ann", "thief", 2e9), Identity("ann", "laptop", 2e9)
    node.stream(Identity("ann", "written", 2e9))
    await node.store.write()
    other.stream(Identity("ann", "unwritten", 2e9))
    for session_id in ("written", "unwritten", "idle"):
        await other.store.revoke(owner, session_id)
    for number in range(5):
        await other.store.revoke(thief, f"x{number}")
    await other.store.revoke(owner, "thief")
    await other.store.revoke(BEN, "x0")
    kept = run(
        database,
        "select session_id from orderstream.revocations where kept_until > now() and user_id = 'ann' order by id",
    )
    assert kept == [("written",), ("unwritten",), ("idle",), ("x4",), ("thief",)]
    assert other.sessions.is_revoked(thief)
    assert [other.sessions.is_revoked_id("ann", f"x{number}") for number in range(5)] == [False] * 4 + [True]


async def test_revocation_past_its_time_is_removed(new_node: NewNode, database: str) -> None:
    """And no other."""
    node = new_node()
    await node.store.revoke(PHONE, "phone")
    await node.store.revoke(PHONE, "laptop")
    run(database, "update orderstream.revocations set kept_until = now() where session_id = 'phone'")
    await Retention(node.pool, RetentionSettings(), lambda: True, PrometheusMeter()).sweep()
    assert run(database, "select session_id from orderstream.revocations") == [("laptop",)]


async def test_the_services_role_may_do_all_of_it(postgres: TestServer, new_database: Callable[..., str]) -> None:
    """As config/grants.sql says."""
    roles = separated(postgres, new_database(migrated=False))
    node = Node(roles.service)
    stream = node.stream()
    await node.store.write()
    node.sessions.tell_all_again()
    await node.store.write()
    node.sessions.close(stream)
    await node.store.write()
    for _ in range(2):
        await node.store.revoke(PHONE, "phone")
    assert await node.seen() == []
    run(roles.admin, "update orderstream.nodes set seen_at = now() - interval '61 s'")
    run(roles.admin, "update orderstream.revocations set kept_until = now()")
    await Retention(node.pool, RetentionSettings(), lambda: True, PrometheusMeter()).sweep()
    await node.store.leave()
    await node.pool.close()
    assert [rows(roles.admin, table) for table in ("nodes", "deliveries", "revocations")] == [0, 0, 0]
