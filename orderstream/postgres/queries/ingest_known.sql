-- What is known of these keys, and how the orders stand that they lead to: these by their ids in an array, since a join
-- would read all orders.
with found as materialized (
    select k.key, k.order_id, k.account from orderstream_ingest.keys k where k.key = any(%(keys)s::uuid[])
),
there as materialized (
    select o.id, o.side::text, o.status::text, to_char(o.created_at at time zone 'UTC', 'YYYY-MM-DD') as day
    from public.orders o
    where o.id = any(array(select distinct f.order_id from found f where f.order_id is not null))
)
select f.key::text, f.order_id::text, f.account, t.side, t.status, t.day
from found f left join there t on t.id = f.order_id
