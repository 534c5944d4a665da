"""Separate roles: each can do its work, and nothing else; and what our triggers do is not for the writer to choose."""

import json
import uuid
from collections.abc import Callable, Iterator

import aiohttp
import psycopg2
import psycopg2.errors
import pytest
from psycopg2.extensions import cursor

from orderstream.errors import SchemaError
from orderstream.postgres import migrations
from tests.postgres.feed import insert_order, opened, outbox, run
from tests.postgres.roles import OWNER, SERVICE, WRITER, Roles, as_role, create_roles, separated
from tests.postgres.servers import TestServer
from tests.services import running_service
from tests.system.clients import get, open_stream, poll
from tests.waiting import eventually


@pytest.fixture
def roles(postgres: TestServer, new_database: Callable[..., str]) -> Roles:
    return separated(postgres, new_database(migrated=False))


@pytest.fixture(scope="module")
def shared(postgres: TestServer) -> Iterator[Roles]:
    """For tests that leave nothing behind."""
    name = postgres.create_database(migrated=False)
    yield separated(postgres, postgres.dsn(name))
    postgres.drop_database(name)


@pytest.fixture
def writing(roles: Roles) -> Iterator[cursor]:
    """A session of the order service's."""
    with opened(roles.writer) as session, session.cursor() as at:
        yield at


async def test_the_service_works_when_each_has_only_its_own_role(roles: Roles, writing: cursor) -> None:
    """From the writer's row to streams and lists; an epoch of another timeline is renewed, and old rows go."""
    run(roles.admin, "update orderstream.epochs set timeline = 'FFFFFFFF'")
    async with running_service(roles.service) as at, aiohttp.ClientSession() as client:
        before = run(roles.admin, "select epoch from orderstream.epochs")
        async with open_stream(client, at, "ann") as stream:
            await stream.until("live")
            order_id = insert_order(writing, "ann")
            assert (await stream.until("order"))[-1].data["order"]["id"] == order_id
        assert len(before) == 2
        assert (await poll(client, at, "ann", f"{before[-1][0]}.0")).body["events"][0]["event"] == "order"
        assert (await get(client, at, "ann", "/v1/orders")).body["orders"][0]["id"] == order_id
        assert (await get(client, at, "ann", f"/v1/orders/{order_id}")).status == 200
        async with client.post(f"{at.url}/v1/tickets", headers=at.bearer("ann")) as answer:
            ticket = (await answer.json())["ticket"]
        async with client.get(f"{at.url}/v1/orders/stream", params={"ticket": ticket}) as answer:
            assert answer.status == 200
        assert len((await get(client, at, "ann", "/v1/sessions")).body["sessions"]) <= 1
        async with client.delete(f"{at.url}/v1/sessions/phone", headers=at.bearer("ann")) as answer:
            assert answer.status == 204

        async def what_was_numbered_is_gone() -> bool:
            # Once nothing else was being written as a number was given, as its list of sessions may be.
            insert_order(writing, "ann")
            numbered = "select 1 from orderstream.events having count(*) = (select count(*) from public.orders)"
            await eventually(lambda: run(roles.admin, numbered))
            await at.service._retention.sweep()
            return run(roles.admin, "select count(*) from orderstream.outbox") == [(0,)]

        await eventually(what_was_numbered_is_gone)
        assert run(roles.admin, "select session_id from orderstream.revocations") == [("phone",)]


WRITER_MAY_NOT = [
    "select * from orderstream.outbox",
    "select * from orderstream.events",
    "select * from orderstream.orders",
    "insert into orderstream.outbox_rows (xid, user_id, event, body, written_at) values ('1', 'ann', 'o', '{}', now())",
    "select orderstream.new_epoch()",
    "select orderstream.ring()",
    "select orderstream.awake()",
    "create temp table t (id int); create trigger t after insert on t execute function orderstream.orders_changed()",
    "alter table public.orders disable trigger orderstream_inserted",
    "truncate public.orders cascade",
    "alter function public.orders_count_version() security definer",
]

SERVICE_MAY_NOT = [
    "select * from public.orders",
    "update public.orders set status = 'filled'",
    "delete from public.executions",
    "delete from orderstream.executions",
    "update orderstream.executions set order_id = null",
    "insert into orderstream.outbox_rows (xid, user_id, event, body, written_at) values ('1', 'ann', 'o', '{}', now())",
    "update orderstream.events set user_id = 'ann'",
    "truncate orderstream.event_rows",
    "delete from orderstream.epochs",
    "delete from orderstream.migrations",
    "create table orderstream.more (id int)",
    "create or replace function orderstream.remaining(text, text, numeric, numeric) returns numeric return 0",
    # On a table and types of its own, the function would run what they say with the owner's rights.
    "create temp table t (id int); create trigger t after insert on t execute function orderstream.orders_changed()",
]


@pytest.mark.parametrize("act", WRITER_MAY_NOT)
def test_the_writer_may_not(shared: Roles, act: str) -> None:
    """Nothing of ours, and nothing that switches our triggers off."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(shared.writer, act)


@pytest.mark.parametrize("act", SERVICE_MAY_NOT)
def test_the_service_may_not(shared: Roles, act: str) -> None:
    """No order is read but through the views or written at all; no event is changed."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(shared.service, act)


def test_every_relation_is_granted(shared: Roles) -> None:
    """What a later migration adds stands in config/grants.sql too."""
    missing = run(
        shared.admin,
        f"select relname from pg_class where relnamespace = 'orderstream'::regnamespace and relkind in ('r', 'v', 'p') "
        f"and not has_table_privilege('{SERVICE}', oid, 'select')",
    )
    assert missing == []


def test_no_function_is_everybodys(shared: Roles) -> None:
    """EXECUTE is PUBLIC's unless revoked; of what later migrations add too."""
    open_to_all = run(
        shared.admin,
        "select p.oid::regprocedure::text from pg_proc p, "
        "aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a "
        "where p.pronamespace = 'orderstream'::regnamespace and a.grantee = 0",
    )
    assert open_to_all == []


def test_every_definer_function_looks_nothing_up_in_the_callers_schemas(shared: Roles) -> None:
    """Two of them, and pg_temp is named last: left out, it would be searched first."""
    definers = run(
        shared.admin,
        "select proname, proconfig from pg_proc where prosecdef and pronamespace = 'orderstream'::regnamespace",
    )
    assert {name for name, _ in definers} >= {"orders_changed", "executions_changed"}
    paths = {tuple(said for said in config if said.startswith("search_path=")) for _, config in definers}
    assert paths == {("search_path=pg_catalog, pg_temp",)}


# A function that raises, and what leads to it: a better match for a name in our functions than pg_catalog's own.
_SPRUNG = "language plpgsql as $$ begin raise exception 'sprung as %', current_user; end $$"
TRAPS = {
    "function": f"create function public.clock_timestamp() returns timestamptz {_SPRUNG}",
    "called": f"create function public.trim_scale(numeric) returns numeric {_SPRUNG}",
    "ringing": f"create function public.pg_notify(text, text) returns void {_SPRUNG};"
    f"create function public.pg_try_advisory_xact_lock_shared(int, int) returns boolean {_SPRUNG}",
    "operator": f"create function public.glue(text, json) returns text {_SPRUNG};"
    "create operator public.|| (leftarg = text, rightarg = json, function = public.glue)",
    "domain": f"create function public.trap(pg_catalog.text) returns boolean {_SPRUNG};"
    "create domain pg_temp.text as pg_catalog.text check (public.trap(value))",
    "table": f"create function public.trap() returns trigger {_SPRUNG};"
    "create table pg_temp.outbox (id int); create table pg_temp.new_rows (id int);"
    "create table public.outbox (id int)",
}


@pytest.fixture
def trapped(shared: Roles) -> Iterator[cursor]:
    """A transaction that is rolled back, of somebody who becomes the writer by `lay`, and again itself by `leave`."""
    with opened(shared.admin, autocommit=False) as session, session.cursor() as at:
        yield at


def lay(at: cursor, trap: str, role: str = WRITER) -> None:
    """Before anything of ours is planned in this session."""
    at.execute(f"set session authorization {role}")
    at.execute(TRAPS[trap])
    at.execute("set search_path = pg_temp, public, pg_catalog")


def leave(at: cursor) -> None:
    at.execute("reset session authorization; reset search_path")


@pytest.mark.parametrize("trap", TRAPS)
def test_what_the_triggers_do_is_not_the_writers_to_choose(trapped: cursor, trap: str) -> None:
    """Functions, operators, types and tables of the same name, in public and pg_temp, first in the search_path."""
    lay(trapped, trap)
    trade(trapped)
    leave(trapped)
    told = outbox(trapped)
    assert [(user_id, event) for user_id, event, _ in told] == [
        ("ann", "order"), ("ann", "execution"), ("ann", "order"), ("ann", "order-removed")
    ]  # fmt: skip
    assert told[2][2]["order"]["version"] == 2


@pytest.mark.parametrize(
    ("trap", "weakness"),
    [
        ("function", "reset search_path"),
        ("operator", "reset search_path"),
        ("ringing", "reset search_path"),
        ("domain", "set search_path = ''"),
    ],
)
def test_the_traps_are_good_ones(shared: Roles, trapped: cursor, trap: str, weakness: str) -> None:
    """Where the function's search_path is the writer's, or only empty, the writer's code runs as the owner."""
    with opened(shared.admin) as sleeper, sleeper.cursor() as asleep:
        # The trigger then rings.
        asleep.execute("select pg_advisory_lock(1869768306, 1)")
        trapped.execute(f"alter function orderstream.orders_changed() {weakness}")
        lay(trapped, trap)
        with pytest.raises(psycopg2.errors.RaiseException, match=f"sprung as {OWNER}"):
            trade(trapped)


def trade(at: cursor) -> None:
    """All that an order service does to an order; its own statements name no type, so no trap is sprung by them."""
    key = [str(uuid.uuid4())]
    columns = "(id, user_id, symbol, asset_class, side, order_type, platform, quantity)"
    at.execute(f"insert into public.orders {columns} values (%s, 'ann', 'A', 'stock', 'buy', 'market', 'web', 1)", key)
    at.execute("insert into public.executions (order_id, symbol, side, quantity) values (%s, 'A', 'buy', 1)", key)
    at.execute("update public.orders set status = 'filled', filled_quantity = 1 where id = %s", key)
    at.execute("delete from public.orders where id = %s", key)


@pytest.mark.parametrize("trap", ["called", "domain"])
def test_the_views_are_read_alike_with_any_search_path(trapped: cursor, trap: str) -> None:
    """Whoever may create in public has no say in what the service reads."""
    insert_order(trapped, "ann")
    lay(trapped, trap, SERVICE)
    trapped.execute("select body from orderstream.orders")
    [(body,)] = trapped.fetchall()
    assert json.loads(body)["quantity"] == 10


async def test_the_services_sessions_look_names_up_in_pg_catalog_only(roles: Roles, writing: cursor) -> None:
    """A function in public that fits the service's own queries better is not called."""
    writing.execute(f"create function public.pg_try_advisory_lock(int, int) returns boolean {_SPRUNG}")
    writing.execute(f"create function public.extract(text, timestamptz) returns float8 {_SPRUNG}")
    run(roles.admin, f"alter role {SERVICE} set search_path = public, pg_catalog")
    try:
        async with running_service(roles.service) as at, aiohttp.ClientSession() as client:
            insert_order(writing, "ann")
            assert len((await get(client, at, "ann", "/v1/orders")).body["orders"]) == 1
    finally:
        run(roles.admin, f"alter role {SERVICE} reset search_path")


def test_migrating_as_the_wrong_role_says_what_it_lacks(postgres: TestServer, new_database: Callable[..., str]) -> None:
    """Whose work it is, and what was refused, in one line."""
    create_roles(postgres)
    empty = as_role(new_database(migrated=False), SERVICE)
    with pytest.raises(SchemaError, match=rf"the role {SERVICE} may not migrate .*: permission denied for database"):
        migrations.apply(empty)


def test_migrating_as_another_than_the_owner_names_the_owner(shared: Roles) -> None:
    """A migration is left, and the role may only read what was applied."""
    known = migrations.packaged()
    number = sum(migration.set_name == "orderstream" for migration in known) + 1
    later = migrations.Migration("orderstream", number, "more", "create table orderstream.more (id int)", "x")
    with pytest.raises(SchemaError, match=rf"the role {SERVICE} may not migrate .*run it as {OWNER}"):
        migrations.apply(shared.service, migrations=[*known, later])


def test_a_start_as_a_role_without_the_grants_says_so(shared: Roles) -> None:
    """The file that helps is named."""
    with pytest.raises(SchemaError, match=rf"the role {WRITER} may not read .*config/grants\.sql"):
        migrations.check_current(shared.writer)
