-- For many users at once: newest and oldest number, and the run of events after the one asked for up to the newest.
select w.user_id, w.after, ep.epoch, coalesce(head.seq, 0), coalesce(oldest.seq, 1),
       e.position, e.seq, e.event, e.body, extract(epoch from e.written_at)::float8
from unnest(%(user_ids)s::text[], %(afters)s::bigint[]) as w (user_id, after)
cross join (select epoch from orderstream.epochs order by id desc limit 1) ep
left join lateral (
    select seq from orderstream.events where user_id = w.user_id order by seq desc limit 1) head on true
left join lateral (
    select seq from orderstream.events where user_id = w.user_id order by seq limit 1) oldest on true
left join lateral (
    select * from orderstream.events
    where user_id = w.user_id and seq > greatest(w.after, head.seq - %(max_events)s) and epoch = ep.epoch
) e on true
order by w.user_id, w.after, e.seq
