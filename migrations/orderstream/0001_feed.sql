-- What the feed keeps: outbox -> (sequencer) -> events, with the checkpoints between them and the epoch.

-- Names are looked up now, where nobody else can have made any.
set local search_path = pg_catalog, pg_temp;

create schema if not exists orderstream;

-- What order transactions wrote and nobody has numbered yet. Only ever inserted into by the triggers, and deleted
-- from by retention once numbered.
create table orderstream.outbox (
    id         bigint generated always as identity primary key, -- order within a transaction, and among dependent ones
    xid        xid8 not null,        -- the writing transaction: what tells new from numbered
    user_id    text not null,
    event      text not null,        -- order | execution | order-removed
    body       text not null,        -- the event's data, finished JSON on one line
    written_at timestamptz not null
);
-- Serves the sequencer's step (what became visible since the last) and retention (what is older than all of it).
create index outbox_xid on orderstream.outbox (xid);
-- Rows live for seconds: vacuum by count, never by share of the table.
alter table orderstream.outbox set (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000
);

-- What clients are told: one row a fact, numbered without holes per user (seq) and over all (position).
create table orderstream.events (
    position     bigint primary key,
    user_id      text not null,
    seq          bigint not null,
    epoch        text not null,
    event        text not null,
    body         text not null,
    written_at   timestamptz not null,
    sequenced_at timestamptz not null default clock_timestamp(),
    -- Serves replay after a cursor, and the next number to give.
    unique (user_id, seq)
);

-- How far the sequencer came: all that is visible in `numbered` has its number. While a window too large for one
-- step is worked off, `opened` is the snapshot that closes the window and `opened_after` the last outbox id taken of it.
-- Rows are added, not updated: under a long-running reader one hot row would drag its dead versions along.
create table orderstream.checkpoints (
    id           bigint generated always as identity primary key,
    numbered     pg_snapshot not null,
    opened       pg_snapshot,
    opened_after bigint,
    position     bigint not null,
    made_at      timestamptz not null default clock_timestamp()
);
insert into orderstream.checkpoints (numbered, position) values (pg_current_snapshot(), 0);

-- The promise of dense numbers holds within an epoch; the newest row is in force.
create table orderstream.epochs (
    id                bigint generated always as identity primary key,
    epoch             text not null unique check (epoch ~ '^[0-9a-f]{8}$'),
    system_identifier bigint not null, -- the Postgres cluster, and its timeline, that the promise was made on
    timeline          text not null,
    reason            text not null,
    began_at          timestamptz not null default clock_timestamp()
);

-- The WAL timeline in force, from the name of the file being written; errors on a standby, where nobody may number.
create function orderstream.timeline() returns text
language sql volatile
return substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);

-- Ends the promise made so far: every cursor given out is answered with a reset from now on. What waits in the outbox
-- is not numbered any more (fresh snapshots contain it), which also frees a dump restored into another
-- cluster from transaction ids that mean nothing there. With the caller's rights: whoever takes the sequencer's steps
-- has all that it needs but the right to add an epoch.
create function orderstream.new_epoch(why text default 'by hand') returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    made text;
begin
    -- One sequencer step at a time, and none beside this.
    lock table orderstream.checkpoints in exclusive mode;
    insert into orderstream.epochs (epoch, system_identifier, timeline, reason)
    select substr(md5(gen_random_uuid()::text), 1, 8), c.system_identifier, orderstream.timeline(), why
    from pg_control_system() c
    returning epoch into made;
    insert into orderstream.checkpoints (numbered, position)
    select pg_current_snapshot(), coalesce(max(position), 0) from orderstream.events;
    delete from orderstream.outbox;
    perform pg_notify('orderstream_events', '');
    return made;
end $$;

-- A function is everybody's to call unless one says otherwise; who may is in config/grants.sql.
revoke execute on all functions in schema orderstream from public;

select orderstream.new_epoch('first migration');
