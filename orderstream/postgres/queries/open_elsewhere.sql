-- One user's deliveries on the other nodes that live, the newest first.
select d.session_id, d.transport, d.platform, d.address, extract(epoch from d.opened_at)::float8, d.cursor
from orderstream.deliveries d join orderstream.nodes n on n.id = d.node_id
where d.user_id = %(user_id)s and d.node_id <> %(node_id)s::uuid
  and n.seen_at > clock_timestamp() - make_interval(secs => %(unseen_s)s)
order by d.opened_at desc limit %(max_rows)s
