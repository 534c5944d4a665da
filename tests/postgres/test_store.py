"""The Store on Postgres: what it reads is what was committed, in the same bytes."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from psycopg2.extensions import cursor

from orderstream.errors import InvalidParameter, NotFound
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query
from orderstream.postgres.store import PostgresStore, StoreSettings
from tests.postgres.feed import Steps, insert_order, insert_orders, opened, run
from tests.services import PATIENCE_S


@pytest.fixture
def at(database: str) -> Iterator[cursor]:
    with opened(database) as session, session.cursor() as at:
        yield at


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    pool = Pool(database, size=2, timeout_s=PATIENCE_S)
    yield PostgresStore(pool, StoreSettings(log_max_events=5, replay_page_events=4, snapshot_max_orders=6))
    await pool.close()


@pytest.mark.parametrize(
    "columns",
    [
        {"quantity": "10.50", "filled_quantity": "0.10", "average_price": "1e-8"},
        {"price": "NaN", "stop_price": "Infinity", "reason": 'said "no"\n\u2028 📉', "created_at": "infinity"},
        {"status": "rejected", "reason_code": "", "client_order_id": "web-1"},
    ],
)
async def test_order_in_a_snapshot_is_byte_equal_to_its_event(
    at: cursor, store: PostgresStore, columns: dict[str, str]
) -> None:
    """A client may compare them; so does a page of the list, and the single order."""
    order_id = insert_order(at, "ann", **columns)
    [event] = Steps(at).take()
    [body] = (await store.snapshots(["ann"]))["ann"].orders
    page = await store.orders_page("ann", open_=None, symbol=None, before=None, limit=1)
    assert event.body.encode().startswith(b'{"order":' + body + b',"exec_type":')
    assert [*page.orders, (await store.order("ann", order_id))[0]] == [body, body]


async def test_execution_of_an_order_is_byte_equal_to_its_event(at: cursor, store: PostgresStore) -> None:
    """The same holds for executions."""
    order_id = insert_order(at, "ann")
    at.execute(
        "insert into public.executions (order_id, symbol, side, quantity, price) values (%s, 'AAPL', 'buy', 1.50, 2)",
        (order_id,),
    )
    event = Steps(at).take()[-1]
    _, [body] = await store.order("ann", order_id)
    assert event.body.encode().startswith(b'{"execution":' + body + b',"written_at":')


async def test_snapshot_holds_open_orders_and_those_that_ended_lately(at: cursor, store: PostgresStore) -> None:
    """What ended more than a day ago is history; newest first."""
    for symbol, status, age in (("A", "submitted", 9), ("B", "filled", 2), ("C", "filled", 0.9), ("D", "unheard", 0)):
        at.execute("select now() - make_interval(secs => %s * 86400)", (age,))
        [(when,)] = at.fetchall()
        insert_order(at, "ann", symbol=symbol, status=status, created_at=when, updated_at=when)
    insert_order(at, "bob")
    Steps(at).take()
    snapshots = await store.snapshots(["ann", "bob", "nobody"])
    assert [json.loads(body)["symbol"] for body in snapshots["ann"].orders] == ["D", "C", "A"]
    assert [snapshots[user].cursor.seq for user in ("ann", "bob", "nobody")] == [4, 1, 0]
    assert snapshots["nobody"].orders == []


async def test_snapshot_is_bounded(at: cursor, store: PostgresStore) -> None:
    """The newest, at most as many as the setting says."""
    insert_orders(at, ["ann"], 9)
    assert len((await store.snapshots(["ann"]))["ann"].orders) == 6


async def test_channel_page_is_a_run_that_ends_at_the_head(at: cursor, store: PostgresStore) -> None:
    """Per user and per position asked for, no more than a log holds, the newest; one query for all."""
    insert_orders(at, ["ann", "bob"], 14)
    Steps(at).take()
    wanted = [("ann", 0), ("ann", 5), ("ann", 99), ("bob", 6), ("nobody", 0)]
    pages = await store.channel_pages(wanted)
    assert list(pages) != []
    seqs = {key: [event.seq for event in pages[key].events] for key in wanted}
    assert seqs == {
        ("ann", 0): [3, 4, 5, 6, 7],
        ("ann", 5): [6, 7],
        ("ann", 99): [],
        ("bob", 6): [7],
        ("nobody", 0): [],
    }
    assert [(pages[key].head, pages[key].oldest) for key in wanted] == [(7, 1)] * 4 + [(0, 1)]


async def test_events_after_come_in_pages_oldest_first(at: cursor, store: PostgresStore) -> None:
    """Only this user's, and the epoch in force even where there are none."""
    insert_orders(at, ["ann", "bob"], 12)
    Steps(at).take()
    epoch, events = await store.events_after("ann", 1)
    assert [event.seq for event in events] == [2, 3, 4, 5]
    assert await store.events_after("ann", 6) == (epoch, [])


async def test_orders_pages_give_each_order_once(at: cursor, store: PostgresStore) -> None:
    """Newest first, also where many were made in the same microsecond."""
    at.execute("set timezone = 'Asia/Kolkata'")
    insert_orders(at, ["ann"], 7)
    at.execute("update public.orders set created_at = '2026-01-02 03:04:05.123456+00'")
    insert_order(at, "bob")
    seen, before = [], None
    while True:
        page = await store.orders_page("ann", open_=None, symbol=None, before=before, limit=3)
        seen.append([json.loads(body)["id"] for body in page.orders])
        if (before := page.next_key) is None:
            break
    assert [len(ids) for ids in seen] == [3, 3, 1]
    assert len({order_id for ids in seen for order_id in ids}) == 7


@pytest.mark.parametrize(
    ("open_", "symbol", "expected"),
    [
        (None, None, ["C", "B", "A"]),
        (True, None, ["C", "A"]),
        (False, None, ["B"]),
        (None, "A", ["A"]),
        (False, "A", []),
    ],
)
async def test_orders_page_filters(
    at: cursor, store: PostgresStore, open_: bool | None, symbol: str | None, expected: list[str]
) -> None:
    """Open, ended, or of a symbol."""
    for name, status in (("A", "submitted"), ("B", "filled"), ("C", "pending_new")):
        insert_order(at, "ann", symbol=name, status=status)
    page = await store.orders_page("ann", open_=open_, symbol=symbol, before=None, limit=9)
    assert [json.loads(body)["symbol"] for body in page.orders] == expected


async def test_page_key_that_is_none_is_the_clients_fault(store: PostgresStore) -> None:
    """It came from outside."""
    with pytest.raises(InvalidParameter):
        await store.orders_page("ann", open_=None, symbol=None, before=("yesterday's", "x"), limit=1)


@pytest.mark.parametrize("asker", ["bob", "ann"])
@pytest.mark.parametrize("order_id", [None, "00000000-0000-0000-0000-000000000000", "no uuid"])
async def test_order_is_shown_to_its_user_alone(
    at: cursor, store: PostgresStore, asker: str, order_id: str | None
) -> None:
    """Another's order, none, and what is no id cannot be told apart."""
    own = insert_order(at, "ann")
    if (asker, order_id) == ("ann", None):
        assert json.loads((await store.order(asker, own))[0])["id"] == own
        return
    with pytest.raises(NotFound, match="no such order"):
        await store.order(asker, order_id or own)


HISTORY = {
    "order_events": {"order_id": str(uuid.uuid4()), "after": 0, "max_events": 50},
    "renamings": {"order_id": str(uuid.uuid4()), "max_events": 1000},
    "executions_page": {
        "since": None, "until": None, "symbol": None, "before_at": None, "before_id": None, "max_executions": 51,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORY)
def test_history_is_read_by_indexes(database: str, name: str) -> None:
    """However many orders and events of others there are: no table is read from end to end."""
    run(
        database,
        """insert into orders (user_id, symbol, asset_class, side, order_type, platform, quantity)
        select 'u' || n % 500, 'A', 'stock', 'buy', 'market', 'web', 1 from generate_series(1, 20000) n;
        insert into executions (order_id, symbol, side, quantity) select id, symbol, side, 1 from orders;
        insert into orderstream.event_rows (position, user_id, seq, epoch, order_id, event, body, written_at)
        select n, 'u' || n % 500, n, 'e', gen_random_uuid(), 'order', '{}', now() from generate_series(1, 20000) n;
        analyze""",
    )
    plan = [line for (line,) in run(database, f"explain {query(name)}", {"user_id": "u7"} | HISTORY[name])]
    # There are a handful of epochs.
    assert [line for line in plan if "Seq Scan" in line and " on epochs " not in line] == []


async def test_page_of_a_replay_costs_what_it_takes_where_statistics_are_old(at: cursor) -> None:
    """A bulk update in front of a client is read page by page, not whole for each page: found by the fault runner."""
    at.execute("analyze orderstream.event_rows")
    at.execute(
        "insert into orderstream.event_rows (position, user_id, seq, epoch, event, body, written_at)"
        " select n, 'ann', n, epoch, 'order', '{}', now() from orderstream.epochs, generate_series(1, 20000) n"
    )
    page = {"user_id": "ann", "after": 1000, "max_events": 50}
    at.execute(f"explain (analyze, format json) {query('events_after')}", page)
    [([explained],)] = at.fetchall()
    assert max(rows_of(explained["Plan"])) == 50


def rows_of(plan: dict[str, Any]) -> Iterator[float]:
    """Of every node."""
    yield plan["Actual Rows"]
    for below in plan.get("Plans", []):
        yield from rows_of(below)
