-- A page of one user's events after a number, oldest first; one row without an event where there are none. Numbers have no
-- holes, so a page is a range: by a limit alone, a planner without fresh statistics sorts all that follows, for each page.
select ep.epoch, e.position, e.seq, e.event, e.body, extract(epoch from e.written_at)::float8
from (select epoch from orderstream.epochs order by id desc limit 1) ep
left join lateral (
    select * from orderstream.events
    where user_id = %(user_id)s and seq > %(after)s and seq <= %(after)s + %(max_events)s and epoch = ep.epoch
) e on true
order by e.seq
