-- What the role of `orderstream serve` may do, and nothing else. Run by the role that migrates, after every migration:
--
--     psql "$OWNER_URL" -1 -v ON_ERROR_STOP=1 -f config/grants.sql
--
-- It is no migration because roles belong to the cluster and their names to you: replace `orderstream_service` where
-- yours is called otherwise. Three roles, none of them a superuser:
--
--     create role orderstream_owner login;        -- migrates, and owns the schema orderstream: may create in the database;
--                                                 -- tables that are not its own it may SELECT and put a TRIGGER on
--     create role orderstream_service login;      -- serves
--     create role order_service login;            -- yours: writes orders and executions, and needs nothing of ours
--
-- Where `migrate` made the tables, they are the owner's, and the order service is let in by
--
--     grant select, insert, update, delete on public.orders, public.executions to order_service;

revoke all on schema orderstream from orderstream_service;
revoke all on all tables in schema orderstream from orderstream_service;
revoke all on all sequences in schema orderstream from orderstream_service;
revoke all on all functions in schema orderstream from orderstream_service;

grant usage on schema orderstream to orderstream_service;

-- A start compares them with the program's own.
grant select on orderstream.migrations to orderstream_service;

-- The sequencer numbers the outbox into events, and notes how far it came; retention deletes what is over.
grant select, delete on orderstream.outbox, orderstream.events to orderstream_service;
grant select on orderstream.outbox_rows to orderstream_service;
grant select, insert on orderstream.event_rows to orderstream_service;
-- What still runs the version before writes here.
grant insert on orderstream.events to orderstream_service;
grant select, insert, delete on orderstream.checkpoints to orderstream_service;

-- On a new timeline the sequencer renews the epoch before it numbers anything.
grant select, insert on orderstream.epochs to orderstream_service;
grant execute on function orderstream.timeline(), orderstream.new_epoch(text), orderstream.doorbell_enabled()
    to orderstream_service;

-- Snapshots and lists. All views read their tables with their owner's rights, but call these with the reader's.
grant select on orderstream.orders, orderstream.executions to orderstream_service;
grant execute on function
    orderstream.rfc3339(timestamptz),
    orderstream.remaining(text, text, numeric, numeric),
    orderstream.order_json(text, text, text, text, text, text, text, text, text, numeric, numeric, numeric, numeric,
                           numeric, numeric, text, text, text, bigint, timestamptz, timestamptz),
    orderstream.execution_json(text, text, text, text, numeric, numeric, text, text, timestamptz),
    orderstream.event_text(text, orderstream.order_change, timestamptz, text),
    orderstream.change_text(orderstream.order_change, timestamptz, text),
    orderstream.large_change_text(orderstream.order_change, timestamptz, text)
    to orderstream_service;

-- The canary's order, and no other. Its owner must then be let into orders:
--     grant select, insert, update on public.orders to orderstream_owner;
grant execute on function orderstream.change_canary(text, text) to orderstream_service;

-- A ticket is kept, and spent by its deletion; to pass over rows that others are about to delete is to lock, which takes
-- the right to update something.
grant select, insert, delete, update (digest) on orderstream.tickets to orderstream_service;

-- The list of a user's open streams, of which only the sign of life and the cursor are ever updated; to end a session
-- again is to keep it ended for longer.
grant select, insert, delete, update (seen_at) on orderstream.nodes to orderstream_service;
grant select, insert, delete, update (cursor) on orderstream.deliveries to orderstream_service;
grant select, insert, delete, update (kept_until, was_open) on orderstream.revocations to orderstream_service;
