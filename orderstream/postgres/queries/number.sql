-- Numbers what was taken, and records how far that came: $1 the checkpoint, $2 the epoch and $3 the snapshot of `take` or
-- `share`, $4 the id that all lie above that were left, $5 the ids that were taken, $6 the numbers that they get and $7
-- what a check says of them, where it does. Nothing happens, and no row is given, where the checkpoint is no longer the
-- newest: a new epoch has begun between the two.
with previous as materialized (
    select c.numbered, c.position from orderstream.checkpoints c
    where c.id = $1 and c.id = (select max(id) from orderstream.checkpoints)
),
made as (
    insert into orderstream.event_rows
        (position, user_id, seq, epoch, order_id, event, body, change, checked, written_at)
    select p.position + t.place, o.user_id, t.seq, $2,
           -- One too long for its index must not stop the numbering.
           case when octet_length(o.order_id) <= 1020 then o.order_id end, o.event,
           case when t.said is null then o.body else left(o.body, -1) || ',"check":' || t.said || '}' end,
           o.change, case when o.body is null then t.said end, o.written_at
    from previous p cross join unnest($5, $6, $7) with ordinality t (id, seq, said, place)
    -- One that is not there any more fails it all: its user is null, which none may be. Better than a hole.
    left join lateral (select * from orderstream.outbox_rows where id = t.id limit 1) o on true
),
-- While something is left, what is not there any more is what has its number.
gone as (
    delete from orderstream.outbox
    where $4 is not null and exists (select from previous) and id = any ($5)
),
checkpoint as (
    insert into orderstream.checkpoints (numbered, opened, opened_after, position)
    select case when $4 is null then $3 else p.numbered end, case when $4 is not null then $3 end, $4,
           p.position + cardinality($5)
    from previous p
    returning position
),
-- The other processes' followers, if there are any: each holds this lock, shared, and whoever comes waits until we have
-- committed. Never from an order's transaction.
rung as materialized (
    select pg_notify('orderstream_events', position::text) from checkpoint
    where cardinality($5) > 0 and not pg_try_advisory_xact_lock(1869768306, 2)
)
select c.position, (select count(*) from rung) from checkpoint c
