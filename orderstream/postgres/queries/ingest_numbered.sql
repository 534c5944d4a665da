-- Whether the latest change of an order has its number, and how far events are numbered.
select exists (
    select from orderstream.events e join public.orders o on o.id = %(order_id)s::uuid
    where e.order_id = %(order_id)s and e.event = 'order' and e.position > %(after)s
      and (e.body::json #>> '{order,version}')::bigint >= o.version
), (select coalesce(max(position), 0) from orderstream.events)
