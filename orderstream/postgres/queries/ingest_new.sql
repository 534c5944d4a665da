-- Orders that nobody has seen before, as their first message has them.
insert into public.orders (
    id, user_id, client_order_id, original_client_order_id, symbol, asset_class, side, order_type, time_in_force,
    platform, quantity, cash_amount, price, stop_price, status, filled_quantity, average_price, exec_type, reason_code,
    reason, created_at
)
select r.id, r.user_id, r.client_order_id, r.original_client_order_id, r.symbol, r.asset_class, r.side, r.order_type,
       r.time_in_force, r.platform, r.quantity, r.cash_amount, r.price, r.stop_price, r.status, r.filled_quantity,
       r.average_price, r.exec_type, r.reason_code, r.reason, coalesce(r.created_at, clock_timestamp())
from json_to_recordset($1) as r (
    id uuid, user_id text, client_order_id text, original_client_order_id text, symbol text, asset_class text,
    side text, order_type text, time_in_force text, platform text, quantity numeric, cash_amount numeric,
    price numeric, stop_price numeric, status text, filled_quantity numeric, average_price numeric, exec_type text,
    reason_code text, reason text, created_at timestamptz
)
