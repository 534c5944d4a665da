-- Whether somebody numbers events, whether the latest change of an order has its number, and how far they are numbered.
select exists (
    select from pg_locks l
    where l.locktype = 'advisory' and l.granted and l.classid = 1869768306 and l.objid = 0
      and l.database = (select oid from pg_database where datname = current_database())
), exists (
    select from orderstream.events e join public.orders o on o.id = %(order_id)s::uuid
    where e.order_id = %(order_id)s and e.event = 'order' and e.position > %(after)s
      and (e.body::json #>> '{order,version}')::bigint >= o.version
), (select coalesce(max(position), 0) from orderstream.events)
