-- What is visible now and was not at the last checkpoint, in the order of the outbox: the first half of a step, which
-- writes nothing. The first row is the step's: the checkpoint that it goes on from, that one's position and epoch, the
-- snapshot that this statement saw, and whether it is `crowded`: then more than $1 events wait, none of them is given
-- here, and `share` is asked instead. The others are an event each, the last column the newest number of its user. $2:
-- whoever slept on the doorbell gets up from it, in the same round trip.
with previous as materialized (
    select c.id, c.position, c.numbered, c.opened from orderstream.checkpoints c order by c.id desc limit 1
),
fresh as materialized (
    (select o.id from orderstream.outbox o
     where o.xid >= (select pg_snapshot_xmax(numbered) from previous)
       and (select opened is null from previous)
     limit $1 + 1)
    union all
    -- What is still open is passed over here: it may have written very much.
    (select o.id from orderstream.outbox o
     where o.xid = any (array(select x from previous, pg_snapshot_xip(numbered) x
                              where pg_visible_in_snapshot(x, pg_current_snapshot())))
       and (select opened is null from previous)
     limit $1 + 1)
),
crowd as materialized (
    select opened is not null or (select count(*) from fresh) > $1 as crowded,
           case when $2 then pg_advisory_unlock(1869768306, 1) end
    from previous
)
select p.id, p.position, (select epoch from orderstream.epochs order by id desc limit 1),
       pg_current_snapshot()::text, w.crowded, null::bigint as left_after,
       null::bigint as outbox_id, null, null, null, null, null, null::float8, null::boolean, null::bigint
from previous p cross join crowd w
union all
select null, null, null, null, null, null,
       o.id, o.xid::text, o.user_id, o.order_id, o.event, o.body, extract(epoch from o.written_at)::float8, true,
       (select e.seq from orderstream.events e where e.user_id = o.user_id order by e.seq desc limit 1)
from crowd w join fresh f on not w.crowded
cross join lateral (select * from orderstream.outbox where id = f.id limit 1) o
order by outbox_id nulls first
