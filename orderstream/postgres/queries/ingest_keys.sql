-- Remembers keys. A name may come to lead to another order.
insert into orderstream_ingest.keys (key, order_id, account)
select r.key, r.order_id, r.account
from unnest(%(keys)s::uuid[], %(order_ids)s::uuid[], %(accounts)s::text[]) as r (key, order_id, account)
on conflict (key) do update set order_id = excluded.order_id, account = excluded.account
