-- How the database's side of the feed is, for a process that followed up to a position; cheap whatever waits. The epoch
-- is the first row's only so that there is one row where nothing else is.
with checkpoint as materialized (
    select numbered, coalesce(opened, numbered) as seen, opened_after, position
    from orderstream.checkpoints order by id desc limit 1
),
waiting as materialized (
    select o.written_at from orderstream.outbox o where o.xid >= (select pg_snapshot_xmax(seen) from checkpoint)
    union all
    select o.written_at from orderstream.outbox o
    where o.xid = any (array(select pg_snapshot_xip(seen) from checkpoint))
    union all
    -- What was seen before and left.
    select o.written_at from orderstream.outbox o
    where o.id > (select opened_after from checkpoint)
      and pg_visible_in_snapshot(o.xid, (select seen from checkpoint))
      and not pg_visible_in_snapshot(o.xid, (select numbered from checkpoint))
    limit %(max_rows)s
),
unread as materialized (
    select e.sequenced_at from orderstream.events e where e.position > %(position)s order by e.position limit 1
)
select extract(epoch from clock_timestamp())::float8,
       pg_notification_queue_usage(),
       (select count(*) from waiting),
       coalesce(extract(epoch from clock_timestamp() - (select min(written_at) from waiting)), 0)::float8,
       coalesce(extract(epoch from clock_timestamp() - (select sequenced_at from unread)), 0)::float8,
       coalesce(extract(epoch from clock_timestamp()
                        - (select written_at from orderstream.events order by position limit 1)), 0)::float8,
       exists (select from pg_locks l
               where l.locktype = 'advisory' and l.classid = 1869768306 and l.objid = 0 and l.objsubid = 2 and l.granted
                 and l.database = (select oid from pg_database where datname = current_database())),
       (select count(*) from orderstream.migrations where set_name = 'orderstream'),
       (select position from checkpoint)
