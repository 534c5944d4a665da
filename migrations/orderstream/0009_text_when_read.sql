-- An order's change waits and is kept as its columns, and becomes JSON when it is read: what an order's own transaction
-- writes is half as long, and what makes the text is made ready once for many events. See
-- docs/decisions/0015-text-when-read.md.
--
-- `outbox` and `events` stay what they were, with the text in `body`: whoever reads them, a process of the version before,
-- and a trigger of that version that is under way, need not know. The rows are in tables of their own. The law, and the
-- care about search paths, are those of 0002_triggers.sql.

set local search_path = pg_catalog, pg_temp;

-- First both locks, the one that orders wait for last and for a moment only; who does not get it lets go of the other:
-- a sequencer that runs takes them the other way round.
do $$
begin
    for attempt in 1 .. 60 loop
        begin
            perform set_config('lock_timeout', '1s', true);
            lock table orderstream.events in access exclusive mode;
            perform set_config('lock_timeout', '100ms', true);
            lock table orderstream.outbox in access exclusive mode;
            return;
        exception when lock_not_available then
            perform pg_sleep(0.05);
        end;
    end loop;
    raise exception 'orderstream.outbox or orderstream.events is held by a long transaction'
        using errcode = 'lock_not_available';
end $$;

-- What of an order is told, and how it came to that.
create type orderstream.order_change as (
    id text, client_order_id text, original_client_order_id text, symbol text, asset_class text, side text,
    order_type text, time_in_force text, platform text, quantity numeric, cash_amount numeric, price numeric,
    stop_price numeric, filled_quantity numeric, average_price numeric, status text, reason_code text, reason text,
    version bigint, created_at timestamptz, updated_at timestamptz, exec_type text, previous_status text
);

-- A change as clients read it; `checked` is what a check says of it, as JSON, or null.
create function orderstream.change_text(change orderstream.order_change, written_at timestamptz, checked text)
returns text
language sql stable parallel safe
return '{"order":' || orderstream.order_json(
           (change).id, (change).client_order_id, (change).original_client_order_id, (change).symbol,
           (change).asset_class, (change).side, (change).order_type, (change).time_in_force, (change).platform,
           (change).quantity, (change).cash_amount, (change).price, (change).stop_price, (change).filled_quantity,
           (change).average_price, (change).status, (change).reason_code, (change).reason, (change).version,
           (change).created_at, (change).updated_at)
       || ',"exec_type":' || to_json((change).exec_type)
       || ',"previous_status":' || coalesce(to_json((change).previous_status)::text, 'null')
       || ',"written_at":' || to_json(orderstream.rfc3339(written_at))
       || coalesce(',"check":' || checked, '') || '}';

-- The same of a large one: what is stored compressed or elsewhere is fetched once, and not for each field.
create function orderstream.large_change_text(change orderstream.order_change, written_at timestamptz, checked text)
returns text
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
    return orderstream.change_text(change, written_at, checked);
end $$;

create function orderstream.event_text(
    body text, change orderstream.order_change, written_at timestamptz, checked text
) returns text
language sql stable parallel safe
return case
        when body is not null then body
        when pg_column_compression(change) is null and pg_column_size(change) < 2000
        then orderstream.change_text(change, written_at, checked)
        else orderstream.large_change_text(change, written_at, checked) end;

alter table orderstream.events rename to event_rows;
alter table orderstream.event_rows
    alter body drop not null, add column change orderstream.order_change, add column checked text;
comment on column orderstream.event_rows.body is 'finished JSON on one line; null where "change" has what it is made of';
comment on column orderstream.event_rows.checked is 'what a check says of "change", JSON';

create view orderstream.events as
select position, user_id, seq, epoch, event, orderstream.event_text(body, change, written_at, checked) as body,
       written_at, sequenced_at, order_id
from orderstream.event_rows;

-- A leader of the version before writes its events here, until it is started anew.
create function orderstream.keep_event() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into orderstream.event_rows (position, user_id, seq, epoch, order_id, event, body, written_at)
    values (new.position, new.user_id, new.seq, new.epoch, new.order_id, new.event, new.body, new.written_at);
    return new;
end $$;
create trigger keep_event instead of insert on orderstream.events
for each row execute function orderstream.keep_event();

alter table orderstream.outbox rename to outbox_rows;
alter table orderstream.outbox_rows alter body drop not null, add column change orderstream.order_change;
comment on column orderstream.outbox_rows.body is 'finished JSON on one line; null where "change" has what it is made of';

create view orderstream.outbox as
select id, xid, user_id, event, orderstream.event_text(body, change, written_at, null) as body, written_at, order_id
from orderstream.outbox_rows;

-- An order's statement that waited for us goes on with the function that it had begun with.
create function orderstream.keep_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into orderstream.outbox_rows (xid, user_id, order_id, event, body, written_at)
    values (new.xid, new.user_id, new.order_id, new.event, new.body, new.written_at);
    return new;
end $$;
create trigger keep_change instead of insert on orderstream.outbox
for each row execute function orderstream.keep_change();

-- And whoever was let in still is, until config/grants.sql has been run again.
do $$
declare
    held record;
begin
    for held in
        select made.name, r.rolname as role, lower(a.privilege_type) as privilege
        from (values ('outbox', 'orderstream.outbox_rows'::regclass), ('events', 'orderstream.event_rows'))
                 as made (name, rows)
             join pg_class c on c.oid = made.rows cross join aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
        where r.oid <> c.relowner and a.privilege_type in ('SELECT', 'INSERT', 'DELETE')
    loop
        execute format('grant %s on orderstream.%I to %I', held.privilege, held.name, held.role);
        execute format(
            'grant execute on function orderstream.event_text, orderstream.change_text, orderstream.large_change_text, '
            'orderstream.order_json, orderstream.remaining, orderstream.rfc3339 to %I', held.role);
    end loop;
end $$;

create or replace function orderstream.orders_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
    written timestamptz := clock_timestamp();
begin
    if tg_op = 'INSERT' then
        insert into orderstream.outbox_rows (xid, user_id, order_id, event, change, written_at)
        select pg_current_xact_id(), n.user_id::text, n.id::text, 'order',
               row(n.id::text, n.client_order_id::text, said.original, n.symbol::text, n.asset_class::text,
                   n.side::text, n.order_type::text, n.time_in_force::text, n.platform::text, n.quantity::numeric,
                   said.cash, n.price::numeric, n.stop_price::numeric, n.filled_quantity::numeric,
                   n.average_price::numeric, n.status::text, n.reason_code::text, n.reason::text,
                   n.version::bigint, n.created_at, n.updated_at,
                   coalesce(
                       said.type,
                       orderstream.exec_type(null, n.status::text, null, n.filled_quantity::numeric, true)),
                   null)::orderstream.order_change,
               written
        from new_rows n
             cross join (select null::text as exec_type, null::text as original_client_order_id,
                                null::numeric as cash_amount) as unsaid
             cross join lateral (select exec_type::text, original_client_order_id::text, cash_amount::numeric
                                 from (select n.*) as columns) as said (type, original, cash)
        where orderstream.can_be_told(n.user_id::text);
    elsif tg_op = 'UPDATE' then
        -- A full join is never a nested loop, so a plan cached for one row still serves a hundred thousand. What has no
        -- partner has left one user, or has come to another.
        insert into orderstream.outbox_rows (xid, user_id, order_id, event, body, change, written_at)
        select pg_current_xact_id(), coalesce(n.user_id, o.user_id)::text, coalesce(n.id, o.id)::text,
               case when n.id is null then 'order-removed' else 'order' end,
               case when n.id is null then '{"order_id":' || to_json(o.id::text) || '}' end,
               case when n.id is not null then
                   row(n.id::text, n.client_order_id::text, said.original, n.symbol::text, n.asset_class::text,
                       n.side::text, n.order_type::text, n.time_in_force::text, n.platform::text,
                       n.quantity::numeric, said.cash, n.price::numeric, n.stop_price::numeric,
                       n.filled_quantity::numeric, n.average_price::numeric, n.status::text, n.reason_code::text,
                       n.reason::text, n.version::bigint, n.created_at, n.updated_at,
                       coalesce(
                           said.type,
                           orderstream.exec_type(
                               o.status::text, n.status::text,
                               -- Nothing was traded where it came from another user.
                               case when o.id is null then n.filled_quantity else o.filled_quantity end::numeric,
                               n.filled_quantity::numeric,
                               (n.quantity, said.cash, n.price, n.stop_price, n.order_type, n.time_in_force)
                                   is not distinct from
                               (o.quantity, was.cash, o.price, o.stop_price, o.order_type, o.time_in_force))),
                       o.status::text)::orderstream.order_change end,
               written
        from old_rows o full join new_rows n on n.id = o.id and n.user_id = o.user_id
             cross join (select null::text as exec_type, null::text as original_client_order_id,
                                null::numeric as cash_amount) as unsaid
             cross join lateral (select exec_type::text, original_client_order_id::text, cash_amount::numeric
                                 from (select n.*) as columns) as said (type, original, cash)
             cross join lateral (select original_client_order_id::text, cash_amount::numeric
                                 from (select o.*) as columns) as was (original, cash)
        where (n.id, n.user_id, n.client_order_id, said.original, n.symbol, n.asset_class, n.side,
               n.order_type, n.time_in_force, n.platform, n.quantity, said.cash, n.price, n.stop_price,
               n.filled_quantity, n.average_price, n.status, n.reason_code, n.reason, n.version, n.created_at,
               n.updated_at)
              is distinct from
              (o.id, o.user_id, o.client_order_id, was.original, o.symbol, o.asset_class, o.side,
               o.order_type, o.time_in_force, o.platform, o.quantity, was.cash, o.price, o.stop_price,
               o.filled_quantity, o.average_price, o.status, o.reason_code, o.reason, o.version, o.created_at,
               o.updated_at)
          and coalesce(n.id, o.id) is not null and orderstream.can_be_told(coalesce(n.user_id, o.user_id)::text);
    else
        insert into orderstream.outbox_rows (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, o.id::text, 'order-removed',
               '{"order_id":' || to_json(o.id::text) || '}', written
        from old_rows o where o.id is not null and orderstream.can_be_told(o.user_id::text);
    end if;
    if found and not orderstream.awake() then
        perform orderstream.ring();
    end if;
    return null;
end $$;

-- Executions are only ever added to; an update (a late repair by hand) is told as the execution it became, a deletion
-- (archiving, or the order's own removal) is not news. The order says whose it is.
create or replace function orderstream.executions_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
    written timestamptz := clock_timestamp();
    written_json json := to_json(orderstream.rfc3339(written));
begin
    if tg_op = 'INSERT' then
        insert into orderstream.outbox_rows (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, n.order_id::text, 'execution',
               '{"execution":' || orderstream.execution_json(
                   n.id::text, n.order_id::text, n.symbol::text, n.side::text, n.quantity::numeric,
                   n.price::numeric, n.kind::text, n.refers_to::text,
                   n.executed_at)
               || ',"written_at":' || written_json || '}',
               written
        -- One by one: a plan that was made for a first insert of thousands would read all orders for each one after it.
        from new_rows n cross join lateral (select user_id from public.orders where id = n.order_id limit 1) o
        where orderstream.can_be_told(o.user_id::text);
    else
        -- Materialized, or what comes after would make it a left join, which may be a nested loop (as above).
        with changed as materialized (
            select n.*
            from new_rows n full join old_rows p on p.id = n.id
            where (n.id, n.order_id, n.symbol, n.side, n.quantity, n.price, n.kind, n.refers_to, n.executed_at)
                  is distinct from
                  (p.id, p.order_id, p.symbol, p.side, p.quantity, p.price, p.kind, p.refers_to, p.executed_at)
        )
        insert into orderstream.outbox_rows (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, n.order_id::text, 'execution',
               '{"execution":' || orderstream.execution_json(
                   n.id::text, n.order_id::text, n.symbol::text, n.side::text, n.quantity::numeric,
                   n.price::numeric, n.kind::text, n.refers_to::text,
                   n.executed_at)
               || ',"written_at":' || written_json || '}',
               written
        from changed n cross join lateral (select user_id from public.orders where id = n.order_id limit 1) o
        where orderstream.can_be_told(o.user_id::text);
    end if;
    if found and not orderstream.awake() then
        perform orderstream.ring();
    end if;
    return null;
end $$;

revoke execute on all functions in schema orderstream from public;
