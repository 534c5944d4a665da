-- What an order was called before it was replaced, and orders by an amount of money instead of a quantity.

set local search_path = pg_catalog, pg_temp;

alter table public.orders add column original_client_order_id text, add column cash_amount numeric;
comment on column public.orders.original_client_order_id is
    'FIX OrigClOrdID: the name that the order had before the request that client_order_id names';
comment on column public.orders.cash_amount is
    'FIX CashOrderQty: the money to buy or sell for; quantity is null until it is known, or for good';

-- They count too.
drop trigger orders_count_version on public.orders;
create trigger orders_count_version before update on public.orders
for each row when (
    (old.user_id, old.client_order_id, old.original_client_order_id, old.symbol, old.asset_class, old.side,
     old.order_type, old.time_in_force, old.platform, old.quantity, old.cash_amount, old.price, old.stop_price,
     old.status, old.filled_quantity, old.average_price, old.exec_type, old.reason_code, old.reason,
     old.created_at, old.updated_at)
    is distinct from
    (new.user_id, new.client_order_id, new.original_client_order_id, new.symbol, new.asset_class, new.side,
     new.order_type, new.time_in_force, new.platform, new.quantity, new.cash_amount, new.price, new.stop_price,
     new.status, new.filled_quantity, new.average_price, new.exec_type, new.reason_code, new.reason,
     new.created_at, new.updated_at)
) execute function public.orders_count_version();
