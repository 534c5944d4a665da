-- Remembers keys. A name may come to lead to another order.
insert into orderstream_ingest.keys (key, order_id, account)
select r.key, r.order_id, r.account from json_to_recordset($1) as r (key uuid, order_id uuid, account text)
on conflict (key) do update set order_id = excluded.order_id, account = excluded.account
