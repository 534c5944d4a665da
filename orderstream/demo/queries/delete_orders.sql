-- Removes orders; their executions go with them.
delete from public.orders where id = any(%(ids)s::uuid[])
