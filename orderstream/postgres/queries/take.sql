-- What is visible now and was not at the last checkpoint, in the order of the outbox: the first half of a step, which
-- writes nothing. One row at least: the checkpoint that it goes on from, the snapshot that this statement saw, and
-- whether it is `crowded`: then more than $1 events wait, none of them is given here, and `share` is asked instead. $2:
-- whoever slept on the doorbell gets up from it, in the same round trip.
with previous as materialized (
    select c.id, c.numbered, c.opened from orderstream.checkpoints c order by c.id desc limit 1
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
select p.id, pg_current_snapshot()::text, w.crowded, null::bigint,
       o.id, o.xid::text, o.user_id, o.order_id, o.event, o.body, extract(epoch from o.written_at)::float8, true
from previous p cross join crowd w
left join fresh f on not w.crowded
left join orderstream.outbox o on o.id = f.id
order by o.id
