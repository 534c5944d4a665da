-- Of some orders, each in the eyes of one user: the newest events that are kept, oldest first.
select w.user_id, w.order_id, e.event, e.body
from unnest(%(user_ids)s::text[], %(order_ids)s::text[]) as w (user_id, order_id)
cross join lateral (
    select v.seq, v.event, v.body from orderstream.events v
    -- By the index on orders alone: without statistics an equal sign here reads all events of the user beside it.
    where v.order_id = w.order_id and v.user_id is not distinct from w.user_id
      and v.epoch = (select epoch from orderstream.epochs order by id desc limit 1)
    order by v.seq desc limit %(max_events)s
) e
order by w.user_id, w.order_id, e.seq
