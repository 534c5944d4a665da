-- The platform's own tables. A platform that has them already leaves this set out
-- (migrate --without-tables); what its tables must have then is in docs/operations.md.
--
-- Vocabulary columns are text without CHECK constraints: what an order service writes is streamed,
-- never refused, even when it is a status that nobody here has heard of.

-- Names are looked up now, where nobody else can have made any.
set local search_path = pg_catalog, pg_temp;

create table public.orders (
    id              uuid primary key default gen_random_uuid(),
    user_id         text not null,
    client_order_id text,
    symbol          text not null,
    asset_class     text not null,            -- stock | etf | mutual_fund | crypto
    side            text not null,            -- buy | sell
    order_type      text not null,            -- market | limit | stop | stop_limit
    time_in_force   text not null default 'day', -- day | gtc | ioc | fok
    platform        text not null,            -- mobile | web
    quantity        numeric,
    price           numeric,
    stop_price      numeric,
    status          text not null default 'pending_new', -- FIX OrdStatus
    filled_quantity numeric not null default 0,
    average_price   numeric,
    exec_type       text,                     -- FIX ExecType of the last change; null: derived from the change
    reason_code     text,
    reason          text,
    version         bigint not null default 1,
    created_at      timestamptz not null default clock_timestamp(),
    updated_at      timestamptz not null default clock_timestamp()
);
comment on table public.orders is 'Orders, one row each, as the order service has them now';
comment on column public.orders.version is 'Counts the changes that a client can see: 1, 2, 3 …; set by trigger';
comment on column public.orders.exec_type is
    'FIX ExecType of the last change. A service that sets it sets it with every change; null means: derive it';

-- Serves a user's list of orders, newest first, and its pages.
create index orders_user_newest on public.orders (user_id, created_at desc, id desc);

create table public.executions (
    id          uuid primary key default gen_random_uuid(),
    order_id    uuid not null references public.orders (id) on delete cascade,
    symbol      text not null,
    side        text not null,
    quantity    numeric not null,
    price       numeric,
    kind        text not null default 'trade', -- trade | bust | correction
    refers_to   uuid,                          -- the execution that a bust or a correction is about
    executed_at timestamptz not null default clock_timestamp()
);
comment on table public.executions is 'Trade reports; only ever added to: a bust or a correction is a row of its own';

-- Serves the executions of one order, and the cascade from orders.
create index executions_order on public.executions (order_id, executed_at, id);

-- Runs as the writer, for each row: its names are qualified, which costs nothing, where a search_path would.
create function public.orders_count_version() returns trigger
language plpgsql as $$
begin
    new.version := old.version operator(pg_catalog.+) 1;
    if new.updated_at operator(pg_catalog.=) old.updated_at then
        new.updated_at := pg_catalog.clock_timestamp();
    end if;
    return new;
end $$;

-- Only what a client can see counts, so that a column added later for the platform's own use does not.
create trigger orders_count_version before update on public.orders
for each row when (
    (old.user_id, old.client_order_id, old.symbol, old.asset_class, old.side, old.order_type,
     old.time_in_force, old.platform, old.quantity, old.price, old.stop_price, old.status,
     old.filled_quantity, old.average_price, old.exec_type, old.reason_code, old.reason,
     old.created_at, old.updated_at)
    is distinct from
    (new.user_id, new.client_order_id, new.symbol, new.asset_class, new.side, new.order_type,
     new.time_in_force, new.platform, new.quantity, new.price, new.stop_price, new.status,
     new.filled_quantity, new.average_price, new.exec_type, new.reason_code, new.reason,
     new.created_at, new.updated_at)
) execute function public.orders_count_version();
