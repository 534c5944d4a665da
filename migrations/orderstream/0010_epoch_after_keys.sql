-- A dump's rows come before its keys and before the next ids: an epoch that a service began in between took the id of one
-- of its rows, was not the newest, and broke the restore. So an epoch wants the keys first.
create or replace function orderstream.new_epoch(why text default 'by hand') returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    made text;
begin
    -- One sequencer step at a time, and none beside this.
    lock table orderstream.checkpoints in exclusive mode;
    -- Of all: where tables are restored at the same time, the key of a small one comes before the rows of a large one.
    if (select count(*) < 4 from pg_index
        where indisprimary and indrelid in (
            'orderstream.checkpoints'::regclass, 'orderstream.epochs'::regclass,
            'orderstream.event_rows'::regclass, 'orderstream.outbox_rows'::regclass)) then
        raise object_not_in_prerequisite_state using
            message = 'the keys of orderstream''s tables are missing: a restore is under way, or was not finished';
    end if;
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
