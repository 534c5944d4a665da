-- Of some orders ($2), each in the eyes of one user ($1): the newest events that are kept, $3 at most, oldest first.
select w.user_id, w.order_id, e.event, e.body
from unnest($1, $2) as w (user_id, order_id)
cross join lateral (
    select v.seq, v.event, v.body from orderstream.events v
    -- By the index on orders alone: without statistics an equal sign here reads all events of the user beside it.
    where v.order_id = w.order_id and v.user_id is not distinct from w.user_id
      and v.epoch = (select epoch from orderstream.epochs order by id desc limit 1)
    order by v.seq desc limit $3
) e
order by w.user_id, w.order_id, e.seq
