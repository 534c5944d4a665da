-- Executions of orders that are there; one that is known already is not told again.
insert into public.executions (id, order_id, symbol, side, quantity, price, kind, refers_to, executed_at)
select r.id, r.order_id, coalesce(r.symbol, o.symbol), coalesce(r.side, o.side), r.quantity, r.price, r.kind,
       r.refers_to, coalesce(r.executed_at, clock_timestamp())
from json_to_recordset($1) as r (
    id uuid, order_id uuid, symbol text, side text, quantity numeric, price numeric, kind text, refers_to uuid,
    executed_at timestamptz
) join public.orders o on o.id = r.order_id
on conflict (id) do nothing
