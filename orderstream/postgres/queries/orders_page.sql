-- A page of one user's orders, newest first, with the cursor they are not older than; one row at least.
select ep.epoch, coalesce(head.seq, 0), o.body, o.created_at::text, o.id::text
from (select epoch from orderstream.epochs order by id desc limit 1) ep
left join lateral (
    select seq from orderstream.events where user_id = %(user_id)s order by seq desc limit 1) head on true
left join lateral (
    select v.body, v.created_at, v.id from orderstream.orders v
    where v.user_id = %(user_id)s
      and (%(open)s::boolean is null or v.open = %(open)s)
      and (%(symbol)s::text is null or v.symbol = %(symbol)s)
      and (%(before_at)s::text is null or (v.created_at, v.id) < (%(before_at)s, %(before_id)s))
    order by v.created_at desc, v.id desc limit %(max_orders)s
) o on true
order by o.created_at desc, o.id desc
