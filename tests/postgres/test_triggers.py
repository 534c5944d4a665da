"""The triggers on orders and executions: what each statement writes into the outbox, and what it does not.

A notification queue that is full cannot be made here (it holds 8 GB): that the triggers do not ring into one that is
half full is left to the reader of `orderstream.ring`.
"""

import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection, cursor, parse_dsn

from orderstream.postgres import migrations
from tests.postgres.feed import insert_execution, insert_order, insert_orders, opened, outbox, run
from tests.postgres.servers import TestServer

TERMINAL = ["filled", "done_for_day", "cancelled", "calculated", "rejected", "expired"]


@pytest.fixture(scope="module")
def shared_database(postgres: TestServer) -> Iterator[str]:
    """One database for all the tests here that commit nothing: making one takes longer than most of them."""
    name = postgres.create_database()
    yield postgres.dsn(name)
    postgres.drop_database(name)


@pytest.fixture
def session(shared_database: str) -> Iterator[connection]:
    """A transaction that is rolled back."""
    with opened(shared_database, autocommit=False) as session:
        yield session


@pytest.fixture
def at(session: connection) -> cursor:
    return session.cursor()


def events(at: cursor) -> list[tuple[str, str]]:
    return [(user_id, event) for user_id, event, _ in outbox(at)]


def clear(at: cursor) -> None:
    at.execute("delete from orderstream.outbox")


def change(at: cursor, order_id: str, **columns: Any) -> None:
    """Updates one order."""
    sets = ", ".join(f"{name} = %({name})s" for name in columns)
    at.execute(f"update public.orders set {sets} where id = %(id)s", {**columns, "id": order_id})


# Statements


@pytest.mark.parametrize("user_id", [None, "u" * 1021], ids=["nobody", "too long a name"])
def test_order_of_a_user_who_cannot_be_told_is_written_and_not_told(at: cursor, user_id: str | None) -> None:
    """The order's statement never fails for our sake, and no row of ours may stop the sequencer."""
    at.execute("alter table public.orders alter user_id drop not null")
    order_id = insert_order(at, "ann")
    clear(at)
    change(at, order_id, user_id=user_id)
    insert_execution(at, order_id)
    change(at, order_id, status="filled")
    at.execute("delete from public.orders")
    assert events(at) == [("ann", "order-removed")]


def test_insert_writes_the_whole_order(at: cursor) -> None:
    """Every field of the protocol, numbers as exact JSON numbers, times in UTC with microseconds."""
    order_id = insert_order(
        at, "ann", client_order_id="web-1", filled_quantity="2.50", average_price="230.40", reason_code="R1",
        reason="why", created_at="2026-01-02 03:04:05.6+02", updated_at="2026-01-02 03:04:05.000007+00",
    )  # fmt: skip
    [(user_id, event, body)] = outbox(at)
    written_at = body.pop("written_at")
    assert (user_id, event) == ("ann", "order")
    assert len(written_at) == len("2026-01-02T01:04:05.600000Z")
    assert written_at.endswith("Z")
    assert body == {
        "order": {
            "id": order_id, "client_order_id": "web-1", "original_client_order_id": None, "symbol": "AAPL",
            "asset_class": "stock", "side": "buy", "order_type": "limit", "time_in_force": "day", "platform": "web",
            "quantity": 10, "cash_amount": None, "price": 230.5, "stop_price": None, "filled_quantity": 2.5,
            "remaining_quantity": 7.5, "average_price": 230.4,
            "status": "submitted", "reason_code": "R1", "reason": "why", "version": 1,
            "created_at": "2026-01-02T01:04:05.600000Z", "updated_at": "2026-01-02T03:04:05.000007Z",
        },
        "exec_type": "trade",
        "previous_status": None,
    }  # fmt: skip


def test_every_row_names_its_order(at: cursor) -> None:
    """So that the events of one order are found: the order's own, its executions' and its removal."""
    order_id = insert_order(at, "ann")
    insert_execution(at, order_id)
    at.execute("update public.executions set price = 231")
    change(at, order_id, user_id="bob")
    at.execute("delete from public.orders")
    at.execute("select event, order_id from orderstream.outbox order by id")
    told = at.fetchall()
    assert [event for event, _ in told] == [
        "order", "execution", "execution", "order-removed", "order", "order-removed"
    ]  # fmt: skip
    assert {named for _, named in told} == {order_id}


def test_update_writes_the_order_with_its_previous_status(at: cursor) -> None:
    """An update says what it was before, and counts the version."""
    order_id = insert_order(at, "ann", status="pending_new")
    clear(at)
    change(at, order_id, status="submitted")
    [(_, event, body)] = outbox(at)
    assert (event, body["previous_status"], body["exec_type"]) == ("order", "pending_new", "new")
    assert (body["order"]["status"], body["order"]["version"]) == ("submitted", 2)


def test_delete_writes_order_removed(at: cursor) -> None:
    """A deleted order is told by its id; its executions, deleted with it, are not news."""
    order_id = insert_order(at, "ann")
    insert_execution(at, order_id)
    clear(at)
    at.execute("delete from public.orders")
    assert outbox(at) == [("ann", "order-removed", {"order_id": order_id})]


def test_change_of_user_removes_it_from_one_and_gives_it_to_the_other(at: cursor) -> None:
    """The old user learns that it is gone, the new one gets all of it but nothing of its past."""
    order_id = insert_order(at, "ann")
    clear(at)
    change(at, order_id, user_id="bob")
    removed, given = outbox(at)
    assert removed == ("ann", "order-removed", {"order_id": order_id})
    assert given[:2] == ("bob", "order")
    assert (given[2]["order"]["id"], given[2]["previous_status"]) == (order_id, None)


def test_a_filled_order_that_changes_its_user_is_told_as_no_trade(at: cursor) -> None:
    """Nothing was traded by that."""
    order_id = insert_order(at, "ann", status="partially_filled", filled_quantity=4)
    clear(at)
    change(at, order_id, user_id="bob")
    assert outbox(at)[1][2]["exec_type"] == "restated"


def test_change_of_id_removes_the_old_and_gives_the_new(at: cursor) -> None:
    """To clients another id is another order."""
    order_id = insert_order(at, "ann")
    clear(at)
    at.execute("update public.orders set id = gen_random_uuid() returning id::text")
    [(new_id,)] = at.fetchall()
    told = {event: body for _, event, body in outbox(at)}
    assert told["order-removed"] == {"order_id": order_id}
    assert told["order"]["order"]["id"] == new_id


def test_statement_over_several_rows_writes_one_event_each(at: cursor) -> None:
    """Rows of several users in one statement: each is told of their own."""
    insert_orders(at, ["ann", "bob"], 4)
    at.execute("update public.orders set status = 'cancelled' where user_id = 'bob'")
    at.execute("delete from public.orders where user_id = 'ann'")
    assert sorted(events(at)[:4]) == [("ann", "order")] * 2 + [("bob", "order")] * 2
    assert events(at)[4:] == [("bob", "order")] * 2 + [("ann", "order-removed")] * 2


def test_upsert_writes_inserted_and_updated_rows(at: cursor) -> None:
    """One statement fires both triggers, each with its own rows."""
    order_id = insert_order(at, "ann", status="pending_new")
    clear(at)
    at.execute(
        "insert into public.orders (id, user_id, symbol, asset_class, side, order_type, platform, status) "
        "values (%s, 'ann', 'AAPL', 'stock', 'buy', 'market', 'web', 'submitted'), "
        "(gen_random_uuid(), 'bob', 'AAPL', 'stock', 'buy', 'market', 'web', 'submitted') "
        "on conflict (id) do update set status = excluded.status",
        (order_id,),
    )
    told = {user_id: body["previous_status"] for user_id, _, body in outbox(at)}
    assert told == {"ann": "pending_new", "bob": None}


def test_copy_writes_one_event_a_row(at: cursor) -> None:
    """COPY is an insert to the triggers."""
    rows = "".join(f"ann\tS{n}\tstock\tbuy\tmarket\tweb\n" for n in range(5))
    at.copy_expert(
        "copy public.orders (user_id, symbol, asset_class, side, order_type, platform) from stdin", io.StringIO(rows)
    )
    assert [body["order"]["symbol"] for _, _, body in outbox(at)] == [f"S{n}" for n in range(5)]


@pytest.mark.parametrize(
    "statement",
    [
        "update public.orders set status = status, price = 230.500",
        "update public.orders set settled = true",
        "update public.orders set status = 'filled' where false",
        "delete from public.orders where false",
        "insert into public.orders select * from public.orders where false",
    ],
)
def test_statement_that_no_client_can_see_writes_nothing(at: cursor, statement: str) -> None:
    """Same values, a column added later, no rows: no event, and no version counted."""
    insert_order(at, "ann")
    at.execute("alter table public.orders add column settled boolean")
    clear(at)
    at.execute(statement)
    at.execute("select version from public.orders")
    assert at.fetchall() == [(1,)]
    assert outbox(at) == []


VISIBLE = {
    "user_id": "bob", "client_order_id": "c-2", "original_client_order_id": "c-1", "symbol": "MSFT",
    "asset_class": "etf", "side": "sell", "order_type": "stop", "time_in_force": "gtc", "platform": "mobile",
    "quantity": 11, "cash_amount": 5, "price": None, "stop_price": 1, "status": "stopped", "filled_quantity": 1,
    "average_price": 1, "exec_type": "restated", "reason_code": "R1", "reason": "why",
    "created_at": "2026-01-02 03:04:05+00", "updated_at": "2026-01-02 03:04:05+00",
}  # fmt: skip


@pytest.mark.parametrize("column", VISIBLE)
def test_change_of_any_column_that_clients_see_counts_the_version(at: cursor, column: str) -> None:
    """Also one from or to null, and where the writer's search_path has operators of its own."""
    order_id = insert_order(at, "ann")
    at.execute(HOSTILE)
    at.execute("set local search_path = hostile, pg_catalog")
    change(at, order_id, **{column: VISIBLE[column]})
    at.execute("select version from public.orders")
    assert at.fetchall() == [(2,)]


def test_rolled_back_work_leaves_nothing(database: str) -> None:
    """A savepoint or a transaction rolled back was never there; what is around it stays, in order."""
    with opened(database, autocommit=False) as writer, writer.cursor() as writing:
        insert_order(writing, "ann", symbol="A")
        writing.execute("savepoint before")
        insert_order(writing, "ann", symbol="B")
        writing.execute("rollback to before")
        insert_order(writing, "ann", symbol="C")
        writer.commit()
        insert_order(writing, "ann", symbol="D")
        writer.rollback()
        assert [body["order"]["symbol"] for _, _, body in outbox(writing)] == ["A", "C"]


@pytest.mark.parametrize("table", ["orders", "executions"])
def test_truncate_is_refused_with_a_hint(at: cursor, table: str) -> None:
    """It does not say which rows are gone, so clients could not be told."""
    insert_order(at, "ann")
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match=f"TRUNCATE of public.{table}") as refused:
        at.execute(f"truncate public.{table} cascade")
    assert "new-epoch" in (refused.value.diag.message_hint or "")


# Bulk


def test_bulk_update_is_planned_without_a_nested_loop(session: connection, at: cursor) -> None:
    """100,000 rows are one statement and as many events, also on a plan that was cached for one row: the server's own
    print of every plan that reads a transition table shows no nested loop."""
    insert_orders(at, [f"u{n}" for n in range(1000)], 100_000)
    clear(at)
    at.execute("set debug_print_plan = on; set client_min_messages = log")
    session.notices = notices = []
    for n in range(8):  # Postgres settles on a generic plan after five.
        at.execute(
            "update public.orders set price = %s where id = (select min(id::text)::uuid from public.orders)", (n,)
        )
    at.execute("update public.orders set status = 'cancelled'")
    plans = [notice for notice in notices if "NAMEDTUPLESTORESCAN" in notice]
    assert any("HASHJOIN" in plan or "MERGEJOIN" in plan for plan in plans)
    assert not any("NESTLOOP" in plan for plan in plans)
    at.execute("set debug_print_plan = off")
    at.execute("select count(*), count(distinct body::json #>> '{order,id}') from orderstream.outbox")
    assert at.fetchall() == [(100_008, 100_000)]


# ExecType


EXEC_TYPES = [
    # what it was, what changes, what it is
    ({"status": "pending_new"}, {"status": "submitted"}, "new"),
    ({"status": "pending_new"}, {"status": "rejected", "reason": "no funds"}, "rejected"),
    ({}, {"status": "partially_filled", "filled_quantity": 4}, "trade"),
    ({"filled_quantity": 4}, {"status": "filled", "filled_quantity": 10}, "trade"),
    ({"filled_quantity": 4}, {"status": "cancelled", "filled_quantity": 5}, "trade"),
    ({"filled_quantity": 4}, {"filled_quantity": 3}, "trade_correct"),
    ({"status": "pending_replace"}, {"status": "submitted", "price": 231}, "replaced"),
    ({"status": "pending_replace"}, {"status": "submitted"}, "restated"),
    ({}, {"price": 231}, "replaced"),
    ({}, {"quantity": 11}, "replaced"),
    ({}, {"stop_price": 200}, "replaced"),
    ({}, {"cash_amount": 200}, "replaced"),
    ({}, {"reason": "a note"}, "restated"),
    ({"status": "suspended"}, {"status": "submitted"}, "restated"),
    ({}, {"status": "never heard of"}, "restated"),
    *[({}, {"status": status}, status) for status in ("pending_cancel", "pending_replace", "stopped", "suspended")],
    *[({}, {"status": status}, status) for status in TERMINAL if status != "filled"],
]


@pytest.mark.parametrize(("was", "changes", "expected"), EXEC_TYPES)
def test_exec_type_is_derived_where_the_writer_does_not_say(
    at: cursor, was: dict[str, Any], changes: dict[str, Any], expected: str
) -> None:
    """The change of the filled quantity, else of the status, else of the terms."""
    order_id = insert_order(at, "ann", **was)
    clear(at)
    change(at, order_id, **changes)
    assert [body["exec_type"] for _, _, body in outbox(at)] == [expected]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"status": "pending_new"}, "pending_new"),
        ({"status": "submitted"}, "new"),
        ({"status": "filled", "filled_quantity": 10}, "trade"),
        ({"status": "rejected"}, "rejected"),
        ({"status": "never heard of"}, "restated"),
    ],
)
def test_exec_type_of_a_new_order_is_derived(at: cursor, columns: dict[str, Any], expected: str) -> None:
    """An insert is a change from nothing."""
    insert_order(at, "ann", **columns)
    assert [body["exec_type"] for _, _, body in outbox(at)] == [expected]


def test_exec_type_is_as_the_writer_says(at: cursor) -> None:
    """What the order service wrote wins, also for what nobody here has heard of."""
    order_id = insert_order(at, "ann", exec_type="calculated")
    change(at, order_id, filled_quantity=1, exec_type="unheard_of")
    assert [body["exec_type"] for _, _, body in outbox(at)] == ["calculated", "unheard_of"]


@pytest.mark.parametrize("status", [*TERMINAL, "submitted", "partially_filled", "never heard of"])
def test_remaining_quantity_is_nothing_once_an_order_has_ended(at: cursor, status: str) -> None:
    """FIX LeavesQty."""
    insert_order(at, "ann", status=status, filled_quantity=4)
    [(_, _, body)] = outbox(at)
    assert body["order"]["remaining_quantity"] == (0 if status in TERMINAL else 6)


# Values


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("📈 für ‘Ann’ \U0010ffff", id="emoji"),
        pytest.param("\r\n\x00\x01\x1f\x7f\x85\u2028\u2029\\\"'".replace("\x00", ""), id="control-characters"),
        pytest.param("x\n" * 50_000, id="100-KB"),
        pytest.param('"' * 500_000, id="1-MB-body"),
    ],
)
def test_text_arrives_as_written_on_one_line(at: cursor, reason: str) -> None:
    """Whatever an order service writes is valid JSON without a raw line end."""
    insert_order(at, "ann", reason=reason)
    at.execute("select body from orderstream.outbox")
    [(body,)] = at.fetchall()
    assert json.loads(body)["order"]["reason"] == reason
    assert "\n" not in body
    assert "\r" not in body


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("NaN", '"NaN"'),
        ("Infinity", '"Infinity"'),
        ("-Infinity", '"-Infinity"'),
        ("1e-20", "0.00000000000000000001"),
        ("12345678901234567890.10", "12345678901234567890.1"),
        ("100.00", "100"),
        ("-0.0", "0"),
    ],
)
def test_number_is_exact_or_a_string(at: cursor, number: str, text: str) -> None:
    """JSON numbers in full, without trailing zeros; what JSON has no number for is a string, and refuses no order."""
    insert_order(at, "ann", price=number, quantity=number)
    at.execute("select body from orderstream.outbox")
    [(body,)] = at.fetchall()
    assert f'"price":{text},' in body
    json.loads(body)


@pytest.mark.parametrize(("time", "text"), [("infinity", None), ("-infinity", None)])
def test_time_without_end_is_null(at: cursor, time: str, text: str | None) -> None:
    """RFC 3339 has no infinity; the order goes through."""
    insert_order(at, "ann", created_at=time)
    [(_, _, body)] = outbox(at)
    assert body["order"]["created_at"] == text


# Executions


def test_execution_is_told_to_the_user_of_its_order(at: cursor) -> None:
    """The order says whose it is; every field of the protocol is there."""
    order_id = insert_order(at, "ann")
    clear(at)
    execution_id = insert_execution(at, order_id, executed_at="2026-01-02 03:04:05+00")
    [(user_id, event, body)] = outbox(at)
    assert (user_id, event) == ("ann", "execution")
    assert body["execution"] == {
        "id": execution_id, "order_id": order_id, "symbol": "AAPL", "side": "buy", "quantity": 4, "price": 230.1,
        "kind": "trade", "refers_to": None, "executed_at": "2026-01-02T03:04:05.000000Z",
    }  # fmt: skip


def test_execution_repaired_by_hand_is_told_as_it_became(at: cursor) -> None:
    """An update is rare, and news."""
    insert_execution(at, insert_order(at, "ann"))
    clear(at)
    at.execute("update public.executions set price = 231")
    assert [(event, body["execution"]["price"]) for _, event, body in outbox(at)] == [("execution", 231)]


def test_execution_update_that_no_client_can_see_writes_nothing(at: cursor) -> None:
    """The same values, or a column added later, are no news."""
    insert_execution(at, insert_order(at, "ann"))
    at.execute("alter table public.executions add column settled boolean")
    clear(at)
    at.execute("update public.executions set settled = true, price = price")
    assert outbox(at) == []


# A platform's own tables


PLATFORM_TABLES = """
create type public.order_status as enum ('submitted', 'filled');
create table public.orders (
    id bigint generated always as identity primary key, user_id bigint not null, client_order_id varchar(40),
    symbol varchar(20), asset_class varchar(20), side varchar(4), order_type varchar(20), time_in_force varchar(4),
    platform varchar(10), quantity integer, price float8, stop_price numeric(12, 4), status public.order_status,
    filled_quantity integer, average_price numeric, reason_code text, reason text, version integer default 1,
    created_at timestamptz default now(), updated_at timestamptz default now());
create table public.executions (
    id bigint primary key, order_id bigint references public.orders, symbol varchar, side varchar, quantity integer,
    price numeric, kind varchar, refers_to bigint, executed_at timestamptz)
"""


def test_platform_table_without_exec_type_and_with_other_types_works(new_database: Callable[..., str]) -> None:
    """Numbers as ids, varchar and integer columns, an enumeration: the events are the same."""
    dsn = new_database(migrated=False)
    run(dsn, PLATFORM_TABLES)
    migrations.apply(dsn, with_tables=False)
    with opened(dsn) as session, session.cursor() as at:
        at.execute(
            "insert into public.orders (user_id, status, quantity, filled_quantity) values (7, 'submitted', 3, 0)"
        )
        at.execute("update public.orders set status = 'filled', filled_quantity = 3, version = 2")
        at.execute("insert into public.executions (id, order_id, quantity) values (9, 1, 3)")
        told = outbox(at)
    assert [(user_id, event) for user_id, event, _ in told] == [("7", "order"), ("7", "order"), ("7", "execution")]
    assert [body.get("exec_type") for _, _, body in told] == ["new", "trade", None]
    assert (told[1][2]["order"]["id"], told[2][2]["execution"]["id"]) == ("1", "9")


def test_optional_columns_that_a_platform_adds_later_are_told(new_database: Callable[..., str]) -> None:
    """In events at once, in lists once the views were made again; without them both are null, and an update of them
    is news."""
    dsn = new_database(migrated=False)
    run(dsn, PLATFORM_TABLES)
    migrations.apply(dsn, with_tables=False)
    with opened(dsn) as session, session.cursor() as at:
        at.execute("insert into public.orders (user_id, status, filled_quantity) values (7, 'submitted', 0)")
        at.execute("alter table public.orders add original_client_order_id varchar, add cash_amount float8")
        at.execute("update public.orders set original_client_order_id = 'was', cash_amount = 9.5")
        at.execute("select orderstream.make_views()")
        told = [body["order"] for _, _, body in outbox(at)]
        at.execute("select body::json from orderstream.orders")
        listed = at.fetchall()
    named = [(one["original_client_order_id"], one["cash_amount"], one["remaining_quantity"]) for one in told]
    assert named == [(None, None, None), ("was", 9.5, None)]
    assert listed == [(told[1],)]


# Who may write


@pytest.fixture
def writer_role(database: str) -> Iterator[str]:
    """A role with rights on the two tables and on nothing of ours."""
    role = "writer_of_" + parse_dsn(database)["dbname"]
    run(database, f"create role {role}")
    run(database, f"grant select, insert, update, delete on public.orders, public.executions to {role}")
    yield role
    run(database, f"drop owned by {role}")
    run(database, f"drop role {role}")


HOSTILE = """
create schema hostile;
create table hostile.outbox (like orderstream.outbox);
create function hostile.clock_timestamp() returns timestamptz language sql as $$ select 'epoch'::timestamptz $$;
create function hostile.to_json(anyelement) returns json language sql as $$ select '"hostile"'::json $$;
create function hostile.trim_scale(numeric) returns numeric language sql as $$ select -1::numeric $$;
create function hostile.pg_notify(text, text) returns void language plpgsql as $$ begin raise 'hostile'; end $$;
create function hostile.differs(text, text) returns boolean language sql as $$ select true $$;
create operator hostile.= (leftarg = text, rightarg = text, procedure = hostile.differs);
grant usage on schema hostile to public
"""


def test_writer_without_rights_and_with_a_hostile_search_path_writes_events(database: str, writer_role: str) -> None:
    """The triggers run as their owner, on names that nobody can put something else under."""
    run(database, HOSTILE)
    with opened(database) as session, session.cursor() as at:
        at.execute(f"set role {writer_role}; set search_path = hostile, pg_catalog")
        order_id = insert_order(at, "ann")
        insert_execution(at, order_id)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            at.execute("select from orderstream.outbox")
        at.execute("reset role; reset search_path")
        order, execution = outbox(at)
    assert order[2]["order"]["price"] == 230.5
    assert not order[2]["written_at"].startswith("1970")
    assert execution[1] == "execution"


# Two-phase commit


@pytest.mark.parametrize("doorbell", [None, "off"])
def test_prepare_transaction_works_while_the_sequencer_sleeps(
    new_database: Callable[..., str], doorbell: str | None
) -> None:
    """Where two-phase commit is possible the triggers keep quiet, since who executed NOTIFY cannot prepare."""
    dsn = new_database(doorbell=False)
    with opened(dsn) as sleeper, opened(dsn, autocommit=False) as writer:
        sleeper.cursor().execute("select pg_advisory_lock(1869768306, 1)")
        with writer.cursor() as at:
            at.execute("select set_config('orderstream.doorbell', coalesce(%s, ''), false)", (doorbell,))
            insert_order(at, "ann")
            at.execute("prepare transaction 'orderstream'")
        assert run(dsn, "select count(*) from orderstream.outbox") == [(0,)]
        run(dsn, "commit prepared 'orderstream'")
    assert run(dsn, "select count(*) from orderstream.outbox") == [(1,)]


# Deadlocks


# What the trigger does not do: one row a user, locked until the order's transaction is over.
COUNTERS = """
create table public.counters (user_id text primary key, seq bigint not null);
insert into public.counters values ('ann', 0), ('bob', 0);
create function public.count_event() returns trigger language plpgsql as $$ begin
    update public.counters set seq = seq + 1 where user_id = new.user_id; return null;
end $$;
create trigger count_event after update on public.orders for each row execute function public.count_event()
"""


def cross(dsn: str) -> list[psycopg2.Error]:
    """Two transactions that touch two users' orders, no order twice, in opposite directions; what went wrong."""
    with opened(dsn) as session, session.cursor() as at:
        ids = [insert_order(at, user_id) for user_id in ("ann", "bob", "bob", "ann")]
    failed: list[psycopg2.Error] = []
    with opened(dsn, autocommit=False) as one, opened(dsn, autocommit=False) as other:
        change(one.cursor(), ids[0], status="stopped")
        change(other.cursor(), ids[1], status="stopped")

        def second(session: connection, order_id: str) -> None:
            try:
                change(session.cursor(), order_id, status="stopped")
                session.commit()
            except psycopg2.Error as error:
                failed.append(error)
                session.rollback()

        threads = [threading.Thread(target=second, args=pair) for pair in ((one, ids[2]), (other, ids[3]))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return failed


def test_counter_row_per_user_would_deadlock(database: str) -> None:
    """The obvious design, beside ours: it is the reason for the sequencer."""
    run(database, COUNTERS)
    assert [type(error) for error in cross(database)] == [psycopg2.errors.DeadlockDetected]


def test_users_in_opposite_order_do_not_deadlock(database: str) -> None:
    """The same transactions with our triggers alone: neither even waits for the other."""
    assert cross(database) == []


def test_single_execution_after_a_first_insert_of_thousands_does_not_read_all_orders(database: str) -> None:
    """A plan is kept for the session, whatever it was made for."""
    with opened(database) as session, session.cursor() as at:
        insert_orders(at, ["ann", "bob"], 5_000)
        at.execute("analyze public.orders")
    with opened(database, autocommit=False) as session, session.cursor() as at:
        add = (
            "insert into public.executions (order_id, symbol, side, quantity, price, kind)"
            " select id, 'AAPL', 'buy', 1, 230, 'trade' from public.orders limit %s"
        )
        at.execute(add, (3_000,))
        session.commit()
        at.execute("select id from public.orders where user_id = 'ann' limit 1")
        [(order_id,)] = at.fetchall()
        scans = "select seq_scan from pg_stat_xact_user_tables where relid = 'public.orders'::regclass"
        at.execute(scans)
        before = at.fetchall()
        at.execute(
            "insert into public.executions (order_id, symbol, side, quantity, price, kind)"
            " values (%s, 'AAPL', 'buy', 1, 230, 'trade')",
            (order_id,),
        )
        at.execute(scans)
        assert at.fetchall() == before
