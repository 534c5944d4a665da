-- Numbers what `take` saw, and records how far that came: $1 its checkpoint, $2 its snapshot, $3 whether there is more,
-- $4 the ids that it took of the outbox, $5 the ids of those that a check is about and $6 these checks. Nothing happens where
-- the checkpoint is no longer the newest: a new epoch has begun between the two.
with previous as materialized (
    select c.numbered, c.position, (select epoch from orderstream.epochs order by id desc limit 1) as epoch
    from orderstream.checkpoints c
    where c.id = $1 and c.id = (select max(id) from orderstream.checkpoints)
),
taken as materialized (
    select o.id, o.user_id, o.order_id, o.event, o.written_at,
           case when k.body is null then o.body else left(o.body, -1) || ',"check":' || k.body || '}' end as body
    from orderstream.outbox o left join unnest($5, $6) k (id, body) on k.id = o.id
    where o.id = any ($4) and exists (select from previous)
),
heads as materialized (
    select u.user_id, coalesce(
        (select e.seq from orderstream.events e where e.user_id = u.user_id order by e.seq desc limit 1), 0) as seq
    from (select distinct user_id from taken) u
),
made as (
    insert into orderstream.events (position, user_id, seq, epoch, order_id, event, body, written_at)
    select p.position + row_number() over (order by t.id), t.user_id,
           h.seq + row_number() over (partition by t.user_id order by t.id), p.epoch,
           -- One too long for its index must not stop the numbering.
           case when octet_length(t.order_id) <= 1020 then t.order_id end, t.event, t.body, t.written_at
    from taken t join heads h using (user_id) cross join previous p
    returning position, seq, epoch
),
checkpoint as (
    insert into orderstream.checkpoints (numbered, opened, opened_after, position)
    select case when $3 then p.numbered else $2 end,
           case when $3 then $2 end,
           case when $3 then (select max(id) from taken) end,
           p.position + (select count(*) from taken)
    from previous p
    returning position
),
-- The other processes' followers; never rung from an order's transaction.
rung as materialized (
    select pg_notify('orderstream_events', position::text) from checkpoint where exists (select from taken)
)
select m.position, m.epoch, m.seq, (select count(*) from rung) from made m order by m.position
