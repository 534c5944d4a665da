"""What was committed, by another way than the product's: row triggers on the platform's tables, in the writer's own
transaction, into a table of their own."""

from collections import defaultdict
from contextlib import closing

import psycopg2

from tests.faults.history import Commit, Committed, Fact, Kept

_DIGEST = "left(md5({0}.status || '|' || trim_scale({0}.filled_quantity) || '|' || coalesce({0}.reason, '')), 12)"

AUDIT = f"""
create table audit (
    id bigint generated always as identity, user_id text not null, event text not null, subject_id text not null,
    version bigint not null default 0, digest text not null default '',
    xid xid8 not null default pg_current_xact_id(), saw pg_snapshot not null default pg_current_snapshot(),
    statement_at timestamptz not null default statement_timestamp()
);

create function audit_order() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and new.version = old.version then
        return null;
    end if;
    if tg_op = 'DELETE' or (tg_op = 'UPDATE' and new.user_id <> old.user_id) then
        insert into audit (user_id, event, subject_id) values (old.user_id, 'order-removed', old.id);
    end if;
    if tg_op <> 'DELETE' then
        insert into audit (user_id, event, subject_id, version, digest)
        values (new.user_id, 'order', new.id, new.version, {_DIGEST.format("new")});
    end if;
    return null;
end $$;
create trigger audit after insert or update or delete on orders for each row execute function audit_order();

create function audit_execution() returns trigger language plpgsql as $$
begin
    insert into audit (user_id, event, subject_id)
    select o.user_id, 'execution', new.id from orders o where o.id = new.order_id;
    return null;
end $$;
create trigger audit after insert on executions for each row execute function audit_execution();
"""

_COMMITS = """
select user_id, event, subject_id, version, digest, xid::text, pg_snapshot_xmax(saw)::text,
       array(select pg_snapshot_xip(saw)::text), extract(epoch from statement_at)::float8
from audit order by id
"""
_ORDERS = f"select o.user_id, o.id::text, o.version, {_DIGEST.format('o')} from orders o"


def committed(database: str, resets: frozenset[str] = frozenset(), lost: frozenset[str] = frozenset()) -> Committed:
    """What the audit and the tables say; of the product's own only the names of its epochs."""
    commits: dict[str, list[Commit]] = defaultdict(list)
    orders: dict[str, dict[str, Kept]] = defaultdict(dict)
    with closing(psycopg2.connect(database)) as session, session.cursor() as cursor:
        cursor.execute(_COMMITS)
        for user, event, subject, version, digest, xid, xmax, running, statement in cursor:
            fact = Fact(event, subject, version, digest)
            commits[user].append(Commit(fact, int(xid), int(xmax), frozenset(map(int, running)), statement))
        cursor.execute(_ORDERS)
        for user, order_id, version, digest in cursor:
            orders[user][order_id] = Kept(version, digest)
        cursor.execute("select epoch from orderstream.epochs order by id")
        epochs = [epoch for (epoch,) in cursor]
    return Committed(commits, orders, epochs, resets, lost)
