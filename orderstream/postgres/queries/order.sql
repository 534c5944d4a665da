-- One order of one user with its executions, oldest first; no row where the user has no such order.
select o.body, e.body
from orderstream.orders o left join orderstream.executions e on e.order_id = o.id
where o.user_id = %(user_id)s and o.id = %(order_id)s
order by e.executed_at, e.id
