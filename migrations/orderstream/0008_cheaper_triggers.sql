-- What every order pays for, less of it: the text of three times, the look at the doorbell, plans in each session.
--
-- The law, and the care about search paths, are those of 0002_triggers.sql.

set local search_path = pg_catalog, pg_temp;

-- Stable, as to_char is: a function that claims to be more than its body is never inlined but called, through all that
-- it takes to run a query.
create or replace function orderstream.rfc3339(at timestamptz) returns text
language sql stable parallel safe
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- Whether the sequencer is awake and stays so until this transaction is over. The sleeper holds the doorbell's advisory
-- lock exclusively: a shared lock granted means nobody sleeps, and held until commit it keeps the sequencer from lying
-- down before it has seen this transaction. An expression in the triggers, where a call of `ring` is a query.
create function orderstream.awake() returns boolean
language sql
return pg_try_advisory_xact_lock_shared(1869768306, 1);

-- Wakes the sequencer, which is not awake. NOTIFY is tried only with room in its queue, because a full one fails the
-- commit.
create or replace function orderstream.ring() returns void
language plpgsql as $$
begin
    if orderstream.doorbell_enabled() and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('orderstream_doorbell', '');
    end if;
end $$;

-- These two as they were, but for their ends, and for the plan: nothing that they are run with makes another one better, and
-- by default Postgres makes five more in each session before it keeps one.
create or replace function orderstream.orders_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
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
        insert into orderstream.outbox (xid, user_id, order_id, event, body, written_at)
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
        insert into orderstream.outbox (xid, user_id, order_id, event, body, written_at)
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
