-- Reports a trade of an order that nobody else has changed since we read it. The lock keeps it so until
-- the order's own change, which follows in the same transaction.
with traded as (
    select id, symbol, side from public.orders
    where id = %(id)s and version = %(version)s
    for no key update
)
insert into public.executions (order_id, symbol, side, quantity, price)
select id, symbol, side, %(traded_quantity)s, %(traded_price)s from traded
