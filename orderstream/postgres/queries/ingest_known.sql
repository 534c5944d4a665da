-- What is known of these keys, and how the orders stand that they lead to.
select k.key::text, k.order_id::text, k.account, o.side::text, o.status::text,
       to_char(o.created_at at time zone 'UTC', 'YYYY-MM-DD')
from orderstream_ingest.keys k left join public.orders o on o.id = k.order_id
where k.key = any(%(keys)s::uuid[])
