-- The same rule as before, asked in the function instead of in a condition of the trigger: a condition is kept as text,
-- and Postgres reads it anew in every statement, which for these columns took longer than the function does.

set local search_path = pg_catalog, pg_temp;

-- Runs as the writer, for each row: its names are qualified, which costs nothing, where a search_path would. Hence
-- record_ne, too, which is IS DISTINCT FROM of two rows: that has its operators from the writer's search_path.
create or replace function public.orders_count_version() returns trigger
language plpgsql as $$
declare
    -- What mostly changes is asked first: an expression is made ready once in each transaction, if it is come to.
    seen boolean := old.filled_quantity operator(pg_catalog.<>) new.filled_quantity
                    or old.status operator(pg_catalog.<>) new.status;
begin
    -- Only what a client can see counts, so that a column added later for the platform's own use does not.
    if seen is not true then
        seen := pg_catalog.record_ne(
            row(old.user_id, old.client_order_id, old.original_client_order_id, old.symbol, old.asset_class, old.side,
                old.order_type, old.time_in_force, old.platform, old.quantity, old.cash_amount, old.price,
                old.stop_price, old.status, old.filled_quantity, old.average_price, old.exec_type, old.reason_code,
                old.reason, old.created_at, old.updated_at),
            row(new.user_id, new.client_order_id, new.original_client_order_id, new.symbol, new.asset_class, new.side,
                new.order_type, new.time_in_force, new.platform, new.quantity, new.cash_amount, new.price,
                new.stop_price, new.status, new.filled_quantity, new.average_price, new.exec_type, new.reason_code,
                new.reason, new.created_at, new.updated_at));
    end if;
    if seen then
        new.version := old.version operator(pg_catalog.+) 1;
        if new.updated_at operator(pg_catalog.=) old.updated_at then
            new.updated_at := pg_catalog.clock_timestamp();
        end if;
    end if;
    return new;
end $$;

drop trigger orders_count_version on public.orders;
create trigger orders_count_version before update on public.orders
for each row execute function public.orders_count_version();
