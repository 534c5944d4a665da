-- What is visible now and was not at the last checkpoint, at most $1 events in the order of the outbox: the first half of
-- a step, which writes nothing. One row at least: the checkpoint that it goes on from, the snapshot that this statement
-- saw, and whether there is more than was taken, which opens a window that later steps work off.
with previous as materialized (
    select c.id, c.numbered, c.opened, c.opened_after from orderstream.checkpoints c order by c.id desc limit 1
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
)
select p.id, coalesce(p.opened, pg_current_snapshot())::text, p.opened is not null,
       (select count(*) from fresh) > $1,
       o.id, o.xid::text, o.user_id, o.order_id, o.event, o.body, extract(epoch from o.written_at)::float8
from previous p
left join (select id from fresh order by id limit $1) f on true
left join orderstream.outbox o on o.id = f.id
order by o.id
