-- One sequencer step, one statement, so one snapshot governs it: numbers what is visible now and was not at the last
-- checkpoint, at most $1 events, and records how far it came. More than that opens a window, worked off in later steps.
with previous as materialized (
    select c.numbered, c.opened, c.opened_after, c.position,
           (select epoch from orderstream.epochs order by id desc limit 1) as epoch
    from orderstream.checkpoints c order by c.id desc limit 1
),
fresh as materialized (
    select o.id from orderstream.outbox o
    where o.xid >= (select pg_snapshot_xmax(numbered) from previous)
      and (select opened is null from previous)
    union all
    select o.id from orderstream.outbox o
    where o.xid = any (array(select pg_snapshot_xip(numbered) from previous))
      and (select opened is null from previous)
    union all
    -- Within an open window by id, so that a step costs what it takes, not what the window holds.
    (select o.id from orderstream.outbox o
     where o.id > (select opened_after from previous)
       and pg_visible_in_snapshot(o.xid, (select opened from previous))
       and not pg_visible_in_snapshot(o.xid, (select numbered from previous))
       and (select opened is not null from previous)
     order by o.id limit $1 + 1)
),
taken as materialized (
    select o.id, o.user_id, o.order_id, o.event, o.body, o.written_at
    from (select id from fresh order by id limit $1) f join orderstream.outbox o using (id)
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
    returning position, user_id, epoch, seq, event, body, written_at
),
checkpoint as (
    insert into orderstream.checkpoints (numbered, opened, opened_after, position)
    select case when w.more then p.numbered else w.closing end,
           case when w.more then w.closing end,
           case when w.more then (select max(id) from taken) end,
           p.position + (select count(*) from taken)
    from previous p,
         lateral (select coalesce(p.opened, pg_current_snapshot()) as closing,
                         (select count(*) from fresh) > $1 as more) w
    where exists (select from fresh) or p.opened is not null
    returning position
),
-- The other processes' followers; never rung from an order's transaction.
rung as materialized (
    select pg_notify('orderstream_events', position::text) from checkpoint where exists (select from taken)
)
select m.position, m.user_id, m.epoch, m.seq, m.event, m.body, extract(epoch from m.written_at)::float8,
       (select count(*) from rung)
from made m order by m.position
