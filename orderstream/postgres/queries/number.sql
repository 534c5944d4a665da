-- Numbers what was taken, and records how far that came: $1 the checkpoint and $2 the snapshot of `take` or `share`, $3 the
-- id that all lie above that were left, $4 the ids that were taken, $5 the ids of those that a check is about and $6 these
-- checks. Nothing happens where the checkpoint is no longer the newest: a new epoch has begun between the two.
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
-- While something is left, what is not there any more is what has its number.
gone as (
    delete from orderstream.outbox where $3 is not null and id = any (array(select id from taken))
),
checkpoint as (
    insert into orderstream.checkpoints (numbered, opened, opened_after, position)
    select case when $3 is null then $2 else p.numbered end,
           case when $3 is not null then $2 end,
           $3,
           p.position + (select count(*) from taken)
    from previous p
    returning position
),
-- The other processes' followers; never rung from an order's transaction.
rung as materialized (
    select pg_notify('orderstream_events', position::text) from checkpoint where exists (select from taken)
)
select m.position, m.epoch, m.seq, (select count(*) from rung) from made m order by m.position
