-- What `orderstream ingest-fix` remembers: by which names it knows an order, and which messages it has played. In a schema
-- of its own: made by its first run, gone with `drop schema orderstream_ingest cascade`, and nothing else looks at it.
create schema if not exists orderstream_ingest;
create table if not exists orderstream_ingest.keys (
    key      uuid primary key,
    order_id uuid,  -- null: of a message that was set aside for want of its order
    account  text   -- of the report that first used the name
);
