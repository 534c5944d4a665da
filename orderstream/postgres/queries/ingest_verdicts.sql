-- What the checker found odd in events about ingested orders, by rule.
select e.body::json #>> '{check,verdict}', e.body::json #>> '{check,rule}', count(*)
from orderstream.events e
where e.position > %(after)s and e.body like '%%,"check":{"verdict":%%'
  and exists (select from public.orders o where o.id::text = e.order_id and o.platform = 'fix')
group by 1, 2
