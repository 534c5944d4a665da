-- A fair share of what waits, where that is more than a step takes: at most $1 events of transactions that are new and
-- no larger than that, and the $2 oldest of the rest, each user's in the order of the outbox and none passed over. As
-- `take` gives it; the sixth column is an id that all lie above that are left, null where nothing is, and the last but
-- one whether nothing is left of this user.
with previous as materialized (
    select c.id, c.position, c.numbered, c.opened_after, coalesce(c.opened, c.numbered) as seen
    from orderstream.checkpoints c order by c.id desc limit 1
),
fresh as materialized (
    select o.id, o.xid from orderstream.outbox o where o.xid >= (select pg_snapshot_xmax(seen) from previous)
    union all
    -- Of one that took its time, which a large one mostly does, no more than says that it is large.
    select o.id, o.xid
    from previous p cross join pg_snapshot_xip(p.seen) x cross join lateral (
        select * from orderstream.outbox where xid = x order by id limit greatest($1, $2) + 1) o
    where pg_visible_in_snapshot(x, pg_current_snapshot())
),
small as materialized (
    select f.id from fresh f join (select xid from fresh group by xid having count(*) <= $1) s using (xid)
    -- After hours without a leader there are millions, and to sort them out would take longer than a step may.
    where (select count(*) from fresh) <= 1000 * $1
    order by f.id limit $1
),
-- What was seen before and left; what has its number since the window was opened is deleted.
older as (
    select o.id from orderstream.outbox o
    where o.id > (select opened_after from previous)
      and pg_visible_in_snapshot(o.xid, (select seen from previous))
      and not pg_visible_in_snapshot(o.xid, (select numbered from previous))
    order by o.id limit $2 + 1
),
rest as materialized (
    select id from (
        select id from older union all select id from fresh where id not in (select id from small)
    ) r order by id limit $2 + 1
),
wanted as materialized (
    select id from small union all (select id from rest order by id limit $2)
),
-- The lowest that is not wanted. One that is wanted and has to wait lies above it.
beyond as materialized (
    select case when count(*) > $2 then max(id) end as id from rest
),
candidates as materialized (
    select o.* from wanted w join orderstream.outbox o on o.id = w.id
),
-- The first of each user's that is not wanted: what comes after it has to wait, too.
users as materialized (
    select u.user_id, (
        select o.id from orderstream.outbox o
        where o.user_id = u.user_id and o.id >= (select min(id) from wanted)
          and not pg_visible_in_snapshot(o.xid, (select numbered from previous))
          and o.id not in (select id from wanted)
          and (select id is not null from beyond)
        order by o.id limit 1) as beyond
    from (select distinct user_id from candidates) u
),
cut as materialized (
    select c.*, u.beyond is null as whole, u.beyond is null or c.id < u.beyond as taken
    from candidates c join users u using (user_id)
)
select p.id, p.position, (select epoch from orderstream.epochs order by id desc limit 1),
       pg_current_snapshot()::text, true, (select id - 1 from beyond) as left_after,
       null::bigint as outbox_id, null, null, null, null, null, null::float8, null::boolean, null::bigint
from previous p
union all
select null, null, null, null, null, null,
       c.id, c.xid::text, c.user_id, c.order_id, c.event, c.body, extract(epoch from c.written_at)::float8, c.whole,
       (select e.seq from orderstream.events e where e.user_id = c.user_id order by e.seq desc limit 1)
from cut c where c.taken
order by outbox_id nulls first
