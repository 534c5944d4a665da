"""A database that an earlier version made and filled: what is there stays as it was, and whoever still runs that
version goes on with it."""

import re
import threading
from collections.abc import Callable

import psycopg2
import pytest

from orderstream.postgres import migrations
from tests.postgres.feed import insert_execution, insert_order, opened, run
from tests.postgres.roles import GRANTS, OWNER, SERVICE, as_role, create_roles
from tests.postgres.servers import TestServer
from tests.waiting import eventually

BEFORE_TEXT_WHEN_READ = 8
RIGHTS = f"""
grant usage on schema orderstream to {SERVICE};
grant select, delete on orderstream.outbox to {SERVICE};
grant select, insert, delete on orderstream.events to {SERVICE};
grant execute on function orderstream.rfc3339, orderstream.remaining to {SERVICE};
"""
# As that version's `number` did.
NUMBER = """
insert into orderstream.events (position, user_id, seq, epoch, order_id, event, body, written_at)
select (select coalesce(max(position), 0) + 1 from orderstream.events), o.user_id,
       (select coalesce(max(seq), 0) + 1 from orderstream.events), 'ffffffff', o.order_id, o.event,
       left(o.body, -1) || ',"check":' || '{"verdict":"odd"}' || '}', o.written_at
from orderstream.outbox o order by o.id limit 1
"""


@pytest.fixture
def earlier(postgres: TestServer, new_database: Callable[..., str]) -> str:
    """As its owner, before the text of an event was made when it is read."""
    create_roles(postgres)
    database = new_database(migrated=False)
    [(name,)] = run(database, "select current_database()")
    run(database, f"alter database {name} owner to {OWNER}; grant create, usage on schema public to public")
    owner = as_role(database, OWNER)
    known = [one for one in migrations.packaged() if one.set_name == "tables" or one.number <= BEFORE_TEXT_WHEN_READ]
    migrations.apply(owner, migrations=known)
    run(owner, RIGHTS)
    return owner


def written(dsn: str) -> list[tuple[str, list[tuple[object, ...]]]]:
    """All that waits, and all that has its number."""
    return [(name, run(dsn, f"select * from orderstream.{name} order by 1")) for name in ("outbox", "events")]


def test_what_was_written_before_is_read_as_it_was(earlier: str) -> None:
    """All of its columns; and what is written of the same order after that is the same text, but for when."""
    with opened(earlier) as session, session.cursor() as at:
        order_id = insert_order(at, "ann", filled_quantity="2.50", reason='"why"')
        insert_execution(at, order_id)
        at.execute(NUMBER)
        before = written(earlier)
        migrations.apply(earlier)
        assert written(earlier) == before
        at.execute("update public.orders set quantity = quantity * 2")
        at.execute("update public.orders set quantity = quantity / 2")
    first, *_, last = (body for (body,) in run(earlier, "select body from orderstream.outbox order by id"))
    assert _timeless(last) == _timeless(first).replace('"exec_type":"trade"', '"exec_type":"replaced"').replace(
        '"previous_status":null', '"previous_status":"submitted"'
    )


def test_processes_of_the_version_before_go_on_until_they_are_replaced(earlier: str) -> None:
    """With the rights that they had: a leader numbers and forgets, retention deletes, readers find the text."""
    service = as_role(earlier, SERVICE)
    with opened(earlier) as session, session.cursor() as at:
        insert_order(at, "ann")
        migrations.apply(earlier)
        insert_order(at, "ann", symbol="B")
    run(service, "select body from orderstream.outbox")
    run(earlier, GRANTS.read_text(encoding="utf-8"))
    run(service, NUMBER)
    run(service, "delete from orderstream.outbox where id = (select min(id) from orderstream.outbox)")
    [(waiting,)] = run(service, "select body from orderstream.outbox")
    run(service, NUMBER)
    numbered = run(service, "select seq, body, sequenced_at >= written_at from orderstream.events order by position")
    assert [(seq, is_later) for seq, _, is_later in numbered] == [(1, True), (2, True)]
    assert numbered[1][1] == f'{waiting[:-1]},"check":{{"verdict":"odd"}}}}'
    run(service, "delete from orderstream.events where seq = 1")
    assert run(service, "select count(*) from orderstream.events") == [(1,)]


async def test_orders_are_written_while_the_migration_waits_and_runs(earlier: str) -> None:
    """None fails, also one whose statement waits for it; and none waits as long as it does, for a transaction that is
    open meanwhile or for a reader of the events. Whatever is written is there, as text."""
    done, failed = threading.Event(), list[psycopg2.Error]()

    def write(user_id: str) -> None:
        with opened(earlier) as session, session.cursor() as at:
            while not done.is_set():
                try:
                    insert_order(at, user_id)
                except psycopg2.Error as error:
                    failed.append(error)

    def count() -> int:
        [(written,)] = run(earlier, "select count(*) from public.orders")
        return int(written)

    with opened(earlier, autocommit=False) as order, opened(earlier, autocommit=False) as reader:
        insert_order(order.cursor(), "ann")
        reader.cursor().execute("select count(*) from orderstream.events")
        writers = [threading.Thread(target=write, args=(f"u{number}",)) for number in range(4)]
        migrating = threading.Thread(target=migrations.apply, args=(earlier,))
        for thread in (*writers, migrating):
            thread.start()
        await _is_waited_for(earlier, "events")
        reader.commit()
        await _is_waited_for(earlier, "outbox")
        before = count()
        await eventually(lambda: count() > before + 20)
        order.commit()
        migrating.join()
        await eventually(lambda: run(earlier, "select 1 from orderstream.outbox_rows where body is null limit 1"))
        done.set()
        for thread in writers:
            thread.join()
    assert failed == []
    assert run(earlier, "select count(*), count(body) from orderstream.outbox") == [(count(), count())]


async def _is_waited_for(dsn: str, table: str) -> None:
    waiting = "select 1 from pg_locks where not granted and mode = 'AccessExclusiveLock' and relation = %s::regclass"
    await eventually(lambda: run(dsn, waiting, (f"orderstream.{table}",)))


def _timeless(body: str) -> str:
    """Without what says when it was, and how many changes before."""
    return re.sub(r'"(written_at|updated_at|version)":[^,}]*', "", body)
