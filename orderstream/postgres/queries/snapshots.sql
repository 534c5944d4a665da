-- For many users at once: the newest number, and the orders that a client starts from, newest first.
select w.user_id, ep.epoch, coalesce(head.seq, 0), o.body
from unnest(%(user_ids)s::text[]) as w (user_id)
cross join (select epoch from orderstream.epochs order by id desc limit 1) ep
left join lateral (
    select seq from orderstream.events where user_id = w.user_id order by seq desc limit 1) head on true
left join lateral (
    select v.body, v.created_at, v.id from orderstream.orders v
    where v.user_id = w.user_id and (v.open or v.updated_at > now() - make_interval(secs => %(closed_s)s))
    order by v.created_at desc, v.id desc limit %(max_orders)s
) o on true
order by w.user_id, o.created_at desc, o.id desc
