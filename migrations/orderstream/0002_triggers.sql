-- From a statement on orders or executions to rows of the outbox, in the same transaction.
--
-- The law (I1): nothing here waits for another transaction, and nothing here can make the order's statement fail for a
-- reader's sake. Statement triggers with transition tables, so that a bulk update is one insert-select.
--
-- Whose rights: the two functions that write the outbox run with their owner's, so that an order service needs none of
-- ours. Hence nothing of the writer's may be looked up in them: their search_path is fixed, with pg_temp named last
-- (left out, even as '', it is searched before pg_catalog for types and tables, and a temporary domain `text` would run
-- its check as the owner), and what they call has its names bound here, by RETURN, or is called from nowhere else.

set local search_path = pg_catalog, pg_temp;

create function orderstream.rfc3339(at timestamptz) returns text
language sql immutable parallel safe
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- FIX LeavesQty: an order that has ended leaves nothing, whatever OrderQty - CumQty says.
create function orderstream.remaining(status text, quantity numeric, filled_quantity numeric) returns numeric
language sql immutable parallel safe
return case when status in ('filled', 'done_for_day', 'cancelled', 'calculated', 'rejected', 'expired')
        then 0 else quantity - filled_quantity end;

-- FIX ExecType, where the writer does not say: a change of the filled quantity is the news, then one of the status,
-- then one of the terms.
create function orderstream.exec_type(
    old_status text, new_status text, old_filled numeric, new_filled numeric, same_terms boolean
) returns text
language sql immutable parallel safe
return case
        when new_filled > coalesce(old_filled, 0) then 'trade'
        when new_filled < old_filled then 'trade_correct'
        when new_status = 'submitted' and (old_status is null or old_status = 'pending_new') then 'new'
        when old_status = 'pending_replace' and not same_terms then 'replaced'
        when new_status is not distinct from old_status then case when same_terms then 'restated' else 'replaced' end
        when new_status in ('pending_new', 'done_for_day', 'pending_cancel', 'cancelled', 'pending_replace',
        'stopped',
                            'suspended', 'calculated', 'rejected', 'expired') then new_status
        else 'restated' end;

-- An order and an execution as clients see them: the names of their JSON fields, in order. (row_to_json of a type is
-- a third faster than json_build_object, and without blanks.)
create type orderstream.order_document as (
    id text, client_order_id text, symbol text, asset_class text, side text, order_type text, time_in_force text,
    platform text, quantity numeric, price numeric, stop_price numeric, filled_quantity numeric,
    remaining_quantity numeric, average_price numeric, status text, reason_code text, reason text, version bigint,
    created_at text, updated_at text
);
create type orderstream.execution_document as (
    id text, order_id text, symbol text, side text, quantity numeric, price numeric, kind text, refers_to text,
    executed_at text
);

create function orderstream.order_json(
    id text, client_order_id text, symbol text, asset_class text, side text, order_type text, time_in_force text,
    platform text, quantity numeric, price numeric, stop_price numeric, filled_quantity numeric,
    average_price numeric, status text, reason_code text, reason text, version bigint,
    created_at timestamptz, updated_at timestamptz
) returns json
language sql stable parallel safe
return row_to_json(row(
        id, client_order_id, symbol, asset_class, side, order_type, time_in_force, platform, trim_scale(quantity),
        trim_scale(price), trim_scale(stop_price), trim_scale(filled_quantity),
        trim_scale(orderstream.remaining(status, quantity, filled_quantity)), trim_scale(average_price), status,
        reason_code, reason, version, orderstream.rfc3339(created_at), orderstream.rfc3339(updated_at)
    )::orderstream.order_document);

create function orderstream.execution_json(
    id text, order_id text, symbol text, side text, quantity numeric, price numeric, kind text, refers_to text,
    executed_at timestamptz
) returns json
language sql stable parallel safe
return row_to_json(row(
        id, order_id, symbol, side, trim_scale(quantity), trim_scale(price), kind, refers_to,
        orderstream.rfc3339(executed_at)
    )::orderstream.execution_document);

-- The same documents for the readers: snapshots and lists. Their text is the text in the events.

-- A platform may keep these columns as enumerations, or as whole numbers: hence the casts, which cost nothing where the
-- type is the one cast to.

create view orderstream.orders as
select o.id, o.user_id::text as user_id, o.symbol::text as symbol, o.status::text as status, o.created_at,
o.updated_at,
       orderstream.remaining(o.status::text, 1, 0) > 0 as open,
       orderstream.order_json(
           o.id::text, o.client_order_id::text, o.symbol::text, o.asset_class::text, o.side::text,
           o.order_type::text, o.time_in_force::text, o.platform::text,
           o.quantity::numeric, o.price::numeric, o.stop_price::numeric, o.filled_quantity::numeric,
           o.average_price::numeric, o.status::text, o.reason_code::text, o.reason::text,
           o.version::bigint, o.created_at, o.updated_at)::text as body
from public.orders o;

create view orderstream.executions as
select e.id, e.order_id, e.executed_at,
       orderstream.execution_json(e.id::text, e.order_id::text, e.symbol::text, e.side::text, e.quantity::numeric,
       e.price::numeric, e.kind::text,
                                  e.refers_to::text, e.executed_at)::text as body
from public.executions e;

-- Whether triggers may ring. A transaction that executed NOTIFY cannot be prepared, so where two-phase commit is
-- possible at all they keep quiet and the sequencer polls, unless the operator says that orders are never
-- prepared: alter database … set orderstream.doorbell = 'on'. With 'off' they always keep quiet.
create function orderstream.doorbell_enabled() returns boolean
language sql stable
return case coalesce(current_setting('orderstream.doorbell', true), '')
        when 'on' then true
        when 'off' then false
        else current_setting('max_prepared_transactions') = '0' end;

-- Wakes the sequencer if it sleeps. The sleeper holds the doorbell's advisory lock exclusively: a shared lock granted
-- means nobody sleeps, and held until commit it keeps the sequencer from lying down before it has seen this
-- transaction. NOTIFY is tried only with room in its queue, because a full one fails the commit.
create function orderstream.ring() returns void
language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock_shared(1869768306, 1)
       and orderstream.doorbell_enabled() and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('orderstream_doorbell', '');
    end if;
end $$;

-- Whether a user can be told at all. No JWT names nobody, or a user of more than 255 characters; and a key too long for
-- the index of events would stop the sequencer for everybody.
create function orderstream.can_be_told(user_id text) returns boolean
language sql immutable parallel safe
return user_id is not null and octet_length(user_id) <= 1020;

create function orderstream.orders_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    written timestamptz := clock_timestamp();
    written_json json := to_json(orderstream.rfc3339(written));
begin
    if tg_op = 'INSERT' then
        insert into orderstream.outbox (xid, user_id, event, body, written_at)
        select pg_current_xact_id(), n.user_id::text, 'order',
               '{"order":' || orderstream.order_json(
                   n.id::text, n.client_order_id::text, n.symbol::text, n.asset_class::text, n.side::text,
                   n.order_type::text, n.time_in_force::text,
                   n.platform::text, n.quantity::numeric, n.price::numeric, n.stop_price::numeric,
                   n.filled_quantity::numeric, n.average_price::numeric, n.status::text,
                   n.reason_code::text, n.reason::text, n.version::bigint, n.created_at, n.updated_at)
               || ',"exec_type":' || to_json(coalesce(
                   -- A platform's table need not have the column: then the name falls through to `unsaid`.
                   (select exec_type::text from (select n.*) as said),
                   orderstream.exec_type(null, n.status::text, null, n.filled_quantity::numeric, true)))
               || ',"previous_status":null,"written_at":' || written_json || '}',
               written
        from new_rows n cross join (select null::text as exec_type) as unsaid
        where orderstream.can_be_told(n.user_id::text);
    elsif tg_op = 'UPDATE' then
        -- The full join is never a nested loop, so a plan cached for one row still serves a hundred thousand.
        with changed as (
            select n.id as new_id, n.user_id::text as new_user, o.id as old_id, o.user_id::text as old_user,
                   (n.id is null or n.user_id is distinct from o.user_id) as left_old,
                   orderstream.order_json(
                       n.id::text, n.client_order_id::text, n.symbol::text, n.asset_class::text, n.side::text,
                       n.order_type::text, n.time_in_force::text,
                       n.platform::text, n.quantity::numeric, n.price::numeric, n.stop_price::numeric,
                       n.filled_quantity::numeric, n.average_price::numeric, n.status::text,
                       n.reason_code::text, n.reason::text, n.version::bigint, n.created_at,
                       n.updated_at) as document,
                   coalesce(
                       (select exec_type::text from (select n.*) as said),
                       orderstream.exec_type(
                           o.status::text, n.status::text, o.filled_quantity::numeric, n.filled_quantity::numeric,
                           (n.quantity, n.price, n.stop_price, n.order_type, n.time_in_force)
                               is not distinct from
                           (o.quantity, o.price, o.stop_price, o.order_type, o.time_in_force))) as exec_type,
                   case when n.user_id = o.user_id then o.status::text end as previous_status
            from new_rows n full join old_rows o on o.id = n.id
                 cross join (select null::text as exec_type) as unsaid
            where (n.id, n.user_id, n.client_order_id, n.symbol, n.asset_class, n.side, n.order_type, n.time_in_force,
                   n.platform, n.quantity, n.price, n.stop_price, n.filled_quantity, n.average_price, n.status,
                   n.reason_code, n.reason, n.version, n.created_at, n.updated_at)
                  is distinct from
                  (o.id, o.user_id, o.client_order_id, o.symbol, o.asset_class, o.side, o.order_type, o.time_in_force,
                   o.platform, o.quantity, o.price, o.stop_price, o.filled_quantity, o.average_price, o.status,
                   o.reason_code, o.reason, o.version, o.created_at, o.updated_at)
        )
        insert into orderstream.outbox (xid, user_id, event, body, written_at)
        select pg_current_xact_id(), old_user, 'order-removed', '{"order_id":' || to_json(old_id::text) || '}',
        written
        from changed where left_old and orderstream.can_be_told(old_user)
        union all
        select pg_current_xact_id(), new_user, 'order',
               '{"order":' || document || ',"exec_type":' || to_json(exec_type)
               || ',"previous_status":' || coalesce(to_json(previous_status)::text, 'null')
               || ',"written_at":' || written_json || '}',
               written
        from changed where orderstream.can_be_told(new_user);
    else
        insert into orderstream.outbox (xid, user_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, 'order-removed', '{"order_id":' || to_json(o.id::text) || '}',
        written
        from old_rows o where orderstream.can_be_told(o.user_id::text);
    end if;
    if found then
        perform orderstream.ring();
    end if;
    return null;
end $$;

-- Executions are only ever added to; an update (a late repair by hand) is told as the execution it became, a deletion
-- (archiving, or the order's own removal) is not news. The order says whose it is.
create function orderstream.executions_changed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    written timestamptz := clock_timestamp();
    written_json json := to_json(orderstream.rfc3339(written));
begin
    if tg_op = 'INSERT' then
        insert into orderstream.outbox (xid, user_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, 'execution',
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
        insert into orderstream.outbox (xid, user_id, event, body, written_at)
        select pg_current_xact_id(), o.user_id::text, 'execution',
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

-- TRUNCATE removes rows without saying which, so clients could not be told.
create function orderstream.truncate_refused() returns trigger
language plpgsql as $$
begin
    raise exception 'TRUNCATE of %.% is refused: clients would not be told which orders are gone', tg_table_schema,
    tg_table_name
        using errcode = 'feature_not_supported',
              hint = 'Use DELETE; or disable the trigger, TRUNCATE, and run `orderstream new-epoch`.';
end $$;

create trigger orderstream_inserted after insert on public.orders
    referencing new table as new_rows for each statement execute function orderstream.orders_changed();
create trigger orderstream_updated after update on public.orders
    referencing old table as old_rows new table as new_rows for each statement execute function orderstream.orders_changed();
create trigger orderstream_deleted after delete on public.orders
    referencing old table as old_rows for each statement execute function orderstream.orders_changed();
create trigger orderstream_truncated before truncate on public.orders
    for each statement execute function orderstream.truncate_refused();

create trigger orderstream_inserted after insert on public.executions
    referencing new table as new_rows for each statement execute function orderstream.executions_changed();
create trigger orderstream_updated after update on public.executions
    referencing old table as old_rows new table as new_rows for each statement execute function orderstream.executions_changed();
create trigger orderstream_truncated before truncate on public.executions
    for each statement execute function orderstream.truncate_refused();

-- Whoever may name a trigger function can have it run, with its owner's rights, on a table and types of their own.
revoke execute on all functions in schema orderstream from public;
