-- A page of what one order's user was told of it and is still kept, oldest first; no row where the user has no such
-- order and was told of none. The order's own id is asked for first: what a client sends may be the same id in
-- other letters.
with asked as materialized (
    select coalesce((select o.id::text from orderstream.orders o
                     where o.user_id = %(user_id)s and o.id = %(order_id)s), %(order_id)s) as id
)
select e.position, e.epoch, e.seq, e.event, e.body, extract(epoch from e.written_at)::float8
from asked a
left join lateral (
    select * from orderstream.events v
    where v.order_id = a.id and v.user_id = %(user_id)s and v.seq > %(after)s order by v.seq limit %(max_events)s
) e on true
where e.position is not null
   or exists (select from orderstream.orders o where o.user_id = %(user_id)s and o.id = %(order_id)s)
   or exists (select from orderstream.events v where v.order_id = a.id and v.user_id = %(user_id)s)
order by e.seq
