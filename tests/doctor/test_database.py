"""What doctor finds in a database: each fault is made, on each version of Postgres, and nothing else is reported."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from orderstream.doctor.database import check_database
from orderstream.doctor.findings import Verdict
from orderstream.doctor.rights import Right, granted
from orderstream.doctor.triggers import EXPECTED
from orderstream.settings import Settings
from tests.doctor.looks import WARNING, WRONG, led, look
from tests.postgres.feed import insert_order, opened, run
from tests.postgres.roles import SERVICE, WRITER, Roles
from tests.waiting import eventually

pytestmark = pytest.mark.every_postgres

# Where nobody leads, which most of these tests have no need for.
NO_LEADER = ("leader", WRONG)


async def faults(dsn: str, **settings: object) -> dict[tuple[str, Verdict], str]:
    """All but that there is no leader."""
    found = await look(dsn, **settings)
    assert found.pop(NO_LEADER).startswith("no process leads")
    return found


@contextmanager
def holding(dsn: str, sql: str) -> Iterator[None]:
    """A session in whose transaction that was done, open meanwhile."""
    with opened(dsn, autocommit=False) as session:
        session.cursor().execute(sql)
        yield


async def test_nothing_is_amiss_in_a_deployment_as_it_is_documented(roles: Roles) -> None:
    """Every check was made, and no line is a false alarm."""
    async with led(roles.service):
        findings, not_checked = await check_database(Settings(database_url=roles.service))
    assert [finding for finding in findings if finding.verdict is not Verdict.OK] == []
    assert len({finding.check for finding in findings}) == 13
    assert not_checked == ["canary"]


async def test_database_that_does_not_answer_is_named() -> None:
    """The checks that need it are listed as not made."""
    settings = Settings(database_url="postgresql://me:hunter2@127.0.0.1:1/orders", startup_timeout_s=0)
    [finding], not_checked = await check_database(settings)
    assert (finding.check, finding.verdict) == ("database", WRONG)
    assert finding.what.startswith("cannot reach the database 127.0.0.1:1/orders: ")
    assert {"schema", "triggers", "clock", "outbox"} <= set(not_checked)


async def test_schema_of_another_version_is_found(new_database: Callable[..., str]) -> None:
    """And what a migration will make is not missed as a right."""
    found = await faults(new_database(migrated=False))
    assert found.pop(("schema", WRONG)) == "the database is not migrated: run `orderstream migrate`"
    assert set(found) == {("role", WARNING), ("triggers", WRONG)}


# Roles and rights


async def test_superuser_is_found(database: str) -> None:
    """Who has every right, so none is listed."""
    assert await faults(database) == {("role", WARNING): "postgres is a superuser"}


async def test_owner_of_the_schema_is_found(roles: Roles) -> None:
    """The same role for migrating and serving."""
    assert await faults(roles.owner) == {("role", WARNING): "orderstream_owner owns the schema orderstream"}


async def test_revoked_grants_are_named(roles: Roles) -> None:
    """Of a table, a column and a function; what could not be looked at for lack of them says so."""
    run(roles.owner, f"revoke select on orderstream.epochs from {SERVICE}")
    run(roles.owner, f"revoke update (cursor) on orderstream.deliveries from {SERVICE}")
    run(roles.owner, f"revoke execute on function orderstream.timeline() from {SERVICE}")
    found = await faults(roles.service)
    said = found.pop(("rights", WRONG))
    assert said == (
        f"{SERVICE} lacks update (cursor) on orderstream.deliveries; execute on orderstream.timeline(); "
        "select on orderstream.epochs"
    )
    assert found.pop(("epoch", WRONG)).startswith("it cannot be looked at: ")
    assert not found


async def test_role_without_the_schema_is_told_what_it_lacks(roles: Roles) -> None:
    """The grants of the schema itself, without which it may not even read the version."""
    run(roles.owner, f"revoke usage on schema orderstream from {SERVICE}")
    found = await faults(roles.service)
    assert found[("rights", WRONG)] == f"{SERVICE} lacks usage on orderstream"
    assert "permission denied for schema orderstream" in found[("schema", WRONG)]


async def test_rights_beyond_the_grants_are_named(roles: Roles) -> None:
    """Those to write, first; on the platform's tables, too."""
    run(roles.owner, f"grant select, update on public.orders to {SERVICE}")
    run(roles.owner, f"grant insert on orderstream.outbox to {SERVICE}")
    run(roles.owner, f"grant update on orderstream.tickets to {SERVICE}")
    assert await faults(roles.service) == {
        ("rights", WARNING): f"{SERVICE} has more rights than it needs: insert on orderstream.outbox; "
        "update on orderstream.tickets; update, select on public.orders"
    }


def test_grants_are_read_as_postgres_reads_them(roles: Roles) -> None:
    """Every right that config/grants.sql gave, and no other: by Postgres's own lists."""
    given = run(
        roles.admin,
        f"""
        select 'relation', c.oid::regclass::text, lower(a.privilege_type), '' from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace = 'orderstream'::regnamespace and a.grantee = '{SERVICE}'::regrole
        union all
        select 'relation', c.attrelid::regclass::text, lower(a.privilege_type), c.attname
        from pg_attribute c, aclexplode(c.attacl) a where a.grantee = '{SERVICE}'::regrole
        union all
        select 'schema', n.nspname, lower(a.privilege_type), '' from pg_namespace n, aclexplode(n.nspacl) a
        where n.nspname = 'orderstream' and a.grantee = '{SERVICE}'::regrole
        """,
    )
    assert {Right(*row) for row in given} == {right for right in granted() if right.kind != "function"}


# Triggers


def test_triggers_expected_are_those_that_migrations_make(database: str) -> None:
    """What a later migration adds stands in doctor too."""
    made = run(
        database,
        "select tgrelid::regclass::text, tgname from pg_trigger where not tgisinternal and tgname like 'orderstream%'",
    )
    assert {(f"public.{table}", name) for table, name in made} == {
        (table, name) for table, names in EXPECTED.items() for name in names
    }


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            "alter table public.orders disable trigger orderstream_updated",
            "orderstream_updated on public.orders: disabled, so changes are told to nobody",
        ),
        (
            "alter table public.executions enable replica trigger orderstream_inserted",
            "orderstream_inserted on public.executions: enabled for replicas only, so changes are told to nobody",
        ),
        (
            "drop trigger orderstream_deleted on public.orders",
            "public.orders lacks orderstream_deleted",
        ),
        (
            "alter table public.executions rename to executions_2025; "
            "create table public.executions (like public.executions_2025 including all)",
            "public.executions lacks orderstream_inserted, orderstream_updated, orderstream_truncated, but there are "
            "some on public.executions_2025: was public.executions renamed?",
        ),
        (
            f"alter role {WRITER} in database current set session_replication_role = replica",
            f"session_replication_role is replica in the sessions of role {WRITER} in database current: our triggers "
            "do not fire there",
        ),
        (
            "alter database current set session_replication_role = replica",
            "session_replication_role is replica in the sessions of database current: our triggers do not fire there",
        ),
    ],
)
async def test_triggers_that_do_not_fire_are_found(roles: Roles, act: str, said: str) -> None:
    """Disabled, for replicas only, dropped, left behind on a renamed table, or silenced for a session."""
    [(name,)] = run(roles.admin, "select current_database()")
    run(roles.admin, act.replace("database current", f"database {name}"))
    found = await faults(roles.service)
    assert found.pop(("triggers", WRONG)) == said.replace("database current", f"database {name}")
    assert not found


async def test_table_written_by_a_subscription_is_found(roles: Roles, new_database: Callable[..., str]) -> None:
    """Logical replication fires row triggers only."""
    publisher = new_database()
    run(publisher, "create publication of_orders for table public.orders")
    run(
        roles.admin,
        f"create subscription from_elsewhere connection '{publisher}' publication of_orders "
        "with (create_slot = false, enabled = false, copy_data = false)",
    )
    try:
        said = (await faults(roles.service))[("triggers", WRONG)]
    finally:
        run(roles.admin, "alter subscription from_elsewhere set (slot_name = none)")
        run(roles.admin, "drop subscription from_elsewhere")
    assert said.startswith("public.orders is written by the subscription from_elsewhere")


# Who numbers


async def test_stranger_with_the_leaders_lock_is_found(roles: Roles) -> None:
    """Anybody who may connect can take it."""
    with holding(roles.writer, "set application_name = 'psql'; select pg_advisory_lock(1869768306, 0)"):
        found = await look(roles.service)
    assert "(psql, role order_service) holds the leader's lock and is no sequencer of ours" in found[NO_LEADER]
    assert len(found) == 1


async def test_stranger_who_keeps_processes_from_hearing_of_events_is_found(roles: Roles) -> None:
    """A follower that connects waits for it, and is told of a time-out."""
    with holding(roles.writer, "set application_name = 'psql'; select pg_advisory_lock(1869768306, 2)"):
        [(key, said)] = (await faults(roles.service)).items()
    assert key == ("sessions", WRONG)
    assert "(psql, role order_service) takes the lock that all processes share to hear of events" in said


async def test_doorbell_held_by_another_than_the_leader_is_found(roles: Roles) -> None:
    """Every order rings for nobody."""
    with holding(roles.writer, "set application_name = 'psql'; select pg_advisory_lock(1869768306, 1)"):
        [(key, said)] = (await faults(roles.service)).items()
    assert key == ("doorbell", WRONG)
    assert "(psql, role order_service) holds it and does not lead" in said


async def test_order_transaction_that_stays_open_is_found(roles: Roles) -> None:
    """It saw nobody asleep, and keeps the sequencer from lying down."""
    with opened(roles.writer, autocommit=False) as writer:
        insert_order(writer.cursor(), "ann")
        [(key, said)] = (await faults(roles.service)).items()
    assert key == ("doorbell", WARNING)
    assert said.startswith("an order transaction of the session ")


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            "alter database current reset orderstream.doorbell",
            "since max_prepared_transactions is 5: the sequencer asks",
        ),
        ("alter database current set orderstream.doorbell = 'off'", "orderstream.doorbell is off: the sequencer asks"),
        (
            f"alter role {WRITER} in database current set orderstream.doorbell = 'off'",
            f"is off for {WRITER}: what they",
        ),
    ],
)
async def test_silent_doorbell_is_found(roles: Roles, act: str, said: str) -> None:
    """By a possible two-phase commit, by the operator's word, or for the order service's role."""
    [(name,)] = run(roles.admin, "select current_database()")
    run(roles.admin, act.replace("database current", f"database {name}"))
    [(key, what)] = (await faults(roles.service)).items()
    assert key == ("doorbell", WARNING)
    assert said in what


async def test_outbox_that_nobody_numbers_is_found(roles: Roles) -> None:
    """How many rows wait, and since when."""
    with opened(roles.writer) as writer:
        insert_order(writer.cursor(), "ann")
    run(roles.admin, "update orderstream.outbox set written_at = now() - interval '40 s'")
    found = await faults(roles.service)
    assert found == {("outbox", WRONG): found[("outbox", WRONG)]}
    assert found[("outbox", WRONG)].startswith("1 rows wait for a number, the oldest for 4")


async def test_outbox_that_retention_leaves_is_found(roles: Roles) -> None:
    """Numbered, and still there after many sweeps."""
    async with led(roles.service):
        with opened(roles.writer) as writer:
            insert_order(writer.cursor(), "ann")
        await eventually(lambda: run(roles.admin, "select 1 from orderstream.events"))
        run(roles.admin, "update orderstream.outbox set written_at = now() - interval '1 h'")
        [(key, said)] = (await look(roles.service)).items()
    assert key == ("outbox", WARNING)
    assert said.startswith("numbered rows are still there after 36")


# The canary


async def test_order_that_can_be_written_is_well_and_told_to_nobody(roles: Roles) -> None:
    """It is taken back."""
    assert await faults(roles.service, canary_user="canary") == {}
    assert run(roles.admin, "select 1 from public.orders union all select 1 from orderstream.outbox") == []


async def test_order_that_cannot_be_written_is_found(roles: Roles) -> None:
    """By a rule of the platform's, as by a full disk."""
    run(roles.owner, "alter table public.orders add column desk text not null")
    [(key, said)] = (await faults(roles.service, canary_user="canary")).items()
    assert key == ("canary", WRONG)
    assert 'null value in column "desk"' in said


# The cluster


async def test_epoch_of_another_timeline_is_the_next_leaders_to_renew(roles: Roles) -> None:
    """As after a fail-over, before anybody leads."""
    run(roles.admin, "update orderstream.epochs set timeline = 'FFFFFFFF'")
    assert list(await faults(roles.service)) == [("epoch", WARNING)]


async def test_epoch_of_another_cluster_under_a_leader_is_wrong(roles: Roles) -> None:
    """It goes on with numbers that were given out elsewhere."""
    async with led(roles.service):
        run(roles.admin, "update orderstream.epochs set system_identifier = 1")
        assert list(await look(roles.service)) == [("epoch", WRONG)]


async def test_read_only_database_is_found(roles: Roles) -> None:
    """As an operator sets it to freeze one."""
    [(name,)] = run(roles.admin, "select current_database()")
    run(roles.admin, f"alter database {name} set default_transaction_read_only = on")
    assert list(await faults(roles.service)) == [("replication", WRONG)]
