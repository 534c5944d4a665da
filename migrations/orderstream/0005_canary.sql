-- The canary: one order of a reserved user's, changed through the real table, so that a change is known to be under way.

set local search_path = pg_catalog, pg_temp;

-- Changes the canary's order, and places it first where there is none. With the owner's rights, which must then include
-- writing orders; whoever may call this can touch no order but canaries, which ended before they began: nobody trades
-- them. A table that wants more columns than these refuses the insert: place one by hand, with this client_order_id.
create function orderstream.change_canary(canary text, mark text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    -- Of the column's own type, so that its index serves.
    canary_id public.orders.user_id%type := canary;
begin
    update public.orders set reason = mark where user_id = canary_id and client_order_id = 'orderstream-canary';
    if not found then
        insert into public.orders (user_id, client_order_id, symbol, asset_class, side, order_type, time_in_force,
                                   platform, quantity, status, reason_code, reason)
        values (canary_id, 'orderstream-canary', 'CANARY', 'stock', 'buy', 'market', 'day',
                'web', 0, 'rejected', 'canary', mark);
    end if;
end $$;

revoke execute on function orderstream.change_canary(text, text) from public;
