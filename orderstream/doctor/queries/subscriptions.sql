-- The subscriptions that write the platform's tables: (table, subscription).
select format('%s.%s', n.nspname, c.relname), s.subname::text
from pg_subscription_rel r join pg_subscription s on s.oid = r.srsubid
join pg_class c on c.oid = r.srrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relname in ('orders', 'executions')
