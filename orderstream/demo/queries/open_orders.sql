-- The open orders, oldest first, or the one of them that is asked for; with what their trades came to.
select
    id, user_id, client_order_id, symbol, asset_class, side, order_type, time_in_force, platform,
    quantity, price, stop_price, status, filled_quantity, average_price, reason_code, reason, version,
    (select coalesce(sum(e.quantity * e.price), 0) from public.executions e where e.order_id = o.id)
from public.orders o
where status = any(%(statuses)s) and quantity > filled_quantity and (%(id)s is null or id = %(id)s::uuid)
order by created_at
limit %(most)s
