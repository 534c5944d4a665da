-- What a follower has not seen: the epoch in force and the newest position, on every row, with the next events if any.
select ep.epoch, coalesce(hd.position, 0), e.position, e.user_id, e.epoch, e.seq, e.event, e.body,
       extract(epoch from e.written_at)::float8
from (select epoch from orderstream.epochs order by id desc limit 1) ep
left join (select position from orderstream.events order by position desc limit 1) hd on true
left join lateral (
    select * from orderstream.events where position > %(after)s order by position limit %(max_events)s
) e on true
order by e.position
