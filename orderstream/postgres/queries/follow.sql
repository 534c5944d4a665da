-- What a follower has not seen: on every row the epoch in force, when that began, the newest position, and of the event
-- at the follower's own, or, where that is not known, at the newest, when it was written, its user and its number; with
-- the next events if any.
select ep.epoch, extract(epoch from ep.began_at)::float8, coalesce(hd.position, 0),
       extract(epoch from kn.written_at)::float8, kn.user_id, kn.seq,
       e.position, e.user_id, e.epoch, e.seq, e.event, e.body, extract(epoch from e.written_at)::float8
from (select epoch, began_at from orderstream.epochs order by id desc limit 1) ep
left join (select position from orderstream.events order by position desc limit 1) hd on true
left join lateral (
    select written_at, user_id, seq from orderstream.events where position = least(%(after)s, hd.position)
) kn on true
left join lateral (
    select * from orderstream.events where position > %(after)s order by position limit %(max_events)s
) e on true
order by e.position
