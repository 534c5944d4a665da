-- Changes of orders, at most one of each: what a report does not name stays as it is. Every report is news, also one that
-- says the same again: hence the time.
update public.orders o set
    client_order_id = coalesce(r.client_order_id, o.client_order_id),
    original_client_order_id = coalesce(r.original_client_order_id, o.original_client_order_id),
    symbol = coalesce(r.symbol, o.symbol),
    order_type = coalesce(r.order_type, o.order_type),
    time_in_force = coalesce(r.time_in_force, o.time_in_force),
    quantity = coalesce(r.quantity, o.quantity),
    cash_amount = coalesce(r.cash_amount, o.cash_amount),
    -- One that became a market order has no price any more.
    price = case when r.price is null and r.order_type in ('market', 'stop') then null else coalesce(r.price, o.price) end,
    stop_price = coalesce(r.stop_price, o.stop_price),
    status = coalesce(r.status, o.status),
    filled_quantity = coalesce(r.filled_quantity, o.filled_quantity),
    average_price = case when r.filled_quantity = 0 then null else coalesce(r.average_price, o.average_price) end,
    exec_type = r.exec_type,
    reason_code = r.reason_code,
    reason = r.reason,
    updated_at = clock_timestamp()
from json_to_recordset($1) as r (
    id uuid, client_order_id text, original_client_order_id text, symbol text, order_type text, time_in_force text,
    quantity numeric, cash_amount numeric, price numeric, stop_price numeric, status text, filled_quantity numeric,
    average_price numeric, exec_type text, reason_code text, reason text
)
where o.id = r.id
