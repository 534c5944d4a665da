-- The oldest of the orders that ended over an hour ago, where there are more of those than are kept.
with old as materialized (
    select id, updated_at from public.orders
    where status = any(%(statuses)s) and updated_at < now() - interval '1 hour'
)
select id from old
order by updated_at
limit least(%(most)s, greatest(0, (select count(*) from old) - %(kept)s))
