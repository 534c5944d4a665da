-- Puts a new order into the table, as it was asked for.
insert into public.orders (
    id, user_id, client_order_id, symbol, asset_class, side, order_type, time_in_force, platform,
    quantity, price, stop_price, status
) values (
    %(id)s, %(user_id)s, %(client_order_id)s, %(symbol)s, %(asset_class)s, %(side)s, %(order_type)s,
    %(time_in_force)s, %(platform)s, %(quantity)s, %(price)s, %(stop_price)s, %(status)s
) returning version
