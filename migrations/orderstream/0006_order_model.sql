-- The order model, complete: the name that an order had before it was replaced, orders by an amount of money; and whose
-- event it is, so that the events of one order are found without reading all of its user's.
--
-- A platform's table need not have the columns original_client_order_id, cash_amount and exec_type. Where it has none
-- of a name, the name falls through to `unsaid`, which must be the only other that has it: hence the short names of
-- what comes out. The law, and the care about search paths, are those of 0002_triggers.sql.

set local search_path = pg_catalog, pg_temp;

alter table orderstream.outbox add column order_id text;
alter table orderstream.events add column order_id text;
-- Serves the events of one order, for its owner and for the sequencer's checks. What was numbered before has no
-- order_id, so it takes no room here and its making only a scan.
create index events_by_order on orderstream.events (order_id, seq) where order_id is not null;

-- Made anew, since the names of the fields and their order are the type's: what was granted on them, config/grants.sql
-- grants again.
drop view orderstream.orders;
drop function orderstream.order_json(text, text, text, text, text, text, text, text, numeric, numeric, numeric, numeric,
                                     numeric, text, text, text, bigint, timestamptz, timestamptz);
drop type orderstream.order_document;
drop function orderstream.remaining(text, numeric, numeric);

-- FIX LeavesQty: an order that has ended leaves nothing, whatever OrderQty - CumQty says. Done for day ends one that is
-- good for the day (A.1.b), and not one that goes on in the morning (H.1.a).
create function orderstream.remaining(status text, time_in_force text, quantity numeric, filled_quantity numeric)
returns numeric
language sql immutable parallel safe
return case when status in ('filled', 'cancelled', 'calculated', 'rejected', 'expired') then 0
            when status = 'done_for_day' and coalesce(time_in_force, 'day') in ('day', 'ioc', 'fok') then 0
            else quantity - filled_quantity end;

create type orderstream.order_document as (
    id text, client_order_id text, original_client_order_id text, symbol text, asset_class text, side text,
    order_type text, time_in_force text, platform text, quantity numeric, cash_amount numeric, price numeric,
    stop_price numeric, filled_quantity numeric, remaining_quantity numeric, average_price numeric, status text,
    reason_code text, reason text, version bigint, created_at text, updated_at text
);

create function orderstream.order_json(
    id text, client_order_id text, original_client_order_id text, symbol text, asset_class text, side text,
    order_type text, time_in_force text, platform text, quantity numeric, cash_amount numeric, price numeric,
    stop_price numeric, filled_quantity numeric, average_price numeric, status text, reason_code text, reason text,
    version bigint, created_at timestamptz, updated_at timestamptz
) returns json
language sql stable parallel safe
return row_to_json(row(
        id, client_order_id, original_client_order_id, symbol, asset_class, side, order_type, time_in_force, platform,
        trim_scale(quantity), trim_scale(cash_amount), trim_scale(price), trim_scale(stop_price),
        trim_scale(filled_quantity),
        trim_scale(orderstream.remaining(status, time_in_force, quantity, filled_quantity)), trim_scale(average_price),
        status, reason_code, reason, version, orderstream.rfc3339(created_at),
        orderstream.rfc3339(updated_at)
    )::orderstream.order_document);

-- Makes the views of the tables as they are now. A view has its columns bound when it is made, a trigger looks each
-- time: so the owner calls this once after one of the optional columns was added to the platform's table.
create function orderstream.make_views() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    create or replace view orderstream.orders as
    select n.id, n.user_id::text as user_id, n.symbol::text as symbol, n.status::text as status, n.created_at,
           n.updated_at, orderstream.remaining(n.status::text, n.time_in_force::text, 1, 0) > 0 as open,
           orderstream.order_json(
               n.id::text, n.client_order_id::text, said.original, n.symbol::text,
               n.asset_class::text, n.side::text, n.order_type::text, n.time_in_force::text, n.platform::text,
               n.quantity::numeric, said.cash, n.price::numeric, n.stop_price::numeric,
               n.filled_quantity::numeric, n.average_price::numeric, n.status::text, n.reason_code::text,
               n.reason::text, n.version::bigint, n.created_at, n.updated_at)::text as body
    from public.orders n
         cross join (select null::text as original_client_order_id, null::numeric as cash_amount) as unsaid
         cross join lateral (select original_client_order_id::text, cash_amount::numeric
                             from (select n.*) as columns) as said (original, cash);

    create or replace view orderstream.executions as
    select e.id, e.order_id, e.executed_at,
           orderstream.execution_json(
               e.id::text, e.order_id::text, e.symbol::text, e.side::text, e.quantity::numeric, e.price::numeric,
               e.kind::text, e.refers_to::text, e.executed_at)::text as body,
           e.symbol::text as symbol
    from public.executions e;
end $$;

select orderstream.make_views();

create or replace function orderstream.orders_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    written timestamptz := clock_timestamp();
    written_json json := to_json(orderstream.rfc3339(written));
begin
    if tg_op = 'INSERT' then
        insert into orderstream.outbox (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), n.user_id::text, n.id::text, 'order',
               '{"order":' || orderstream.order_json(
                   n.id::text, n.client_order_id::text, said.original, n.symbol::text,
                   n.asset_class::text, n.side::text, n.order_type::text, n.time_in_force::text, n.platform::text,
                   n.quantity::numeric, said.cash, n.price::numeric, n.stop_price::numeric,
                   n.filled_quantity::numeric, n.average_price::numeric, n.status::text, n.reason_code::text,
                   n.reason::text, n.version::bigint, n.created_at, n.updated_at)
               || ',"exec_type":' || to_json(coalesce(
                   said.type,
                   orderstream.exec_type(null, n.status::text, null, n.filled_quantity::numeric, true)))
               || ',"previous_status":null,"written_at":' || written_json || '}',
               written
        from new_rows n
             cross join (select null::text as exec_type, null::text as original_client_order_id,
                                null::numeric as cash_amount) as unsaid
             cross join lateral (select exec_type::text, original_client_order_id::text, cash_amount::numeric
                                 from (select n.*) as columns) as said (type, original, cash)
        where orderstream.can_be_told(n.user_id::text);
    elsif tg_op = 'UPDATE' then
        -- The full join is never a nested loop, so a plan cached for one row still serves a hundred thousand.
        with changed as (
            select n.id as new_id, n.user_id::text as new_user, o.id as old_id, o.user_id::text as old_user,
                   (n.id is null or n.user_id is distinct from o.user_id) as left_old,
                   orderstream.order_json(
                       n.id::text, n.client_order_id::text, said.original, n.symbol::text,
                       n.asset_class::text, n.side::text, n.order_type::text, n.time_in_force::text, n.platform::text,
                       n.quantity::numeric, said.cash, n.price::numeric, n.stop_price::numeric,
                       n.filled_quantity::numeric, n.average_price::numeric, n.status::text, n.reason_code::text,
                       n.reason::text, n.version::bigint, n.created_at, n.updated_at) as document,
                   coalesce(
                       said.type,
                       orderstream.exec_type(
                           o.status::text, n.status::text, o.filled_quantity::numeric, n.filled_quantity::numeric,
                           (n.quantity, said.cash, n.price, n.stop_price, n.order_type, n.time_in_force)
                               is not distinct from
                           (o.quantity, was.cash, o.price, o.stop_price, o.order_type, o.time_in_force)
                       )) as exec_type,
                   case when n.user_id = o.user_id then o.status::text end as previous_status
            from new_rows n full join old_rows o on o.id = n.id
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
        )
        insert into orderstream.outbox (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), old_user, old_id::text, 'order-removed',
               '{"order_id":' || to_json(old_id::text) || '}', written
        from changed where left_old and orderstream.can_be_told(old_user)
        union all
        select pg_current_xact_id(), new_user, new_id::text, 'order',
               '{"order":' || document || ',"exec_type":' || to_json(exec_type)
               || ',"previous_status":' || coalesce(to_json(previous_status)::text, 'null')
               || ',"written_at":' || written_json || '}',
               written
        from changed where orderstream.can_be_told(new_user);
    else
        insert into orderstream.outbox (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, o.id::text, 'order-removed',
               '{"order_id":' || to_json(o.id::text) || '}', written
        from old_rows o where orderstream.can_be_told(o.user_id::text);
    end if;
    if found then
        perform orderstream.ring();
    end if;
    return null;
end $$;

-- Executions are only ever added to; an update (a late repair by hand) is told as the execution it became, a deletion
-- (archiving, or the order's own removal) is not news. The order says whose it is.
create or replace function orderstream.executions_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    written timestamptz := clock_timestamp();
    written_json json := to_json(orderstream.rfc3339(written));
begin
    if tg_op = 'INSERT' then
        insert into orderstream.outbox (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, n.order_id::text, 'execution',
               '{"execution":' || orderstream.execution_json(
                   n.id::text, n.order_id::text, n.symbol::text, n.side::text, n.quantity::numeric,
                   n.price::numeric, n.kind::text, n.refers_to::text,
                   n.executed_at)
               || ',"written_at":' || written_json || '}',
               written
        from new_rows n join public.orders o on o.id = n.order_id
        where orderstream.can_be_told(o.user_id::text);
    else
        -- Materialized, or the join with orders would make it a left join, which may be a nested loop (as above).
        with changed as materialized (
            select n.*
            from new_rows n full join old_rows p on p.id = n.id
            where (n.id, n.order_id, n.symbol, n.side, n.quantity, n.price, n.kind, n.refers_to, n.executed_at)
                  is distinct from
                  (p.id, p.order_id, p.symbol, p.side, p.quantity, p.price, p.kind, p.refers_to, p.executed_at)
        )
        insert into orderstream.outbox (xid, user_id, order_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, n.order_id::text, 'execution',
               '{"execution":' || orderstream.execution_json(
                   n.id::text, n.order_id::text, n.symbol::text, n.side::text, n.quantity::numeric,
                   n.price::numeric, n.kind::text, n.refers_to::text,
                   n.executed_at)
               || ',"written_at":' || written_json || '}',
               written
        from changed n join public.orders o on o.id = n.order_id
        where orderstream.can_be_told(o.user_id::text);
    end if;
    if found then
        perform orderstream.ring();
    end if;
    return null;
end $$;

revoke execute on all functions in schema orderstream from public;
