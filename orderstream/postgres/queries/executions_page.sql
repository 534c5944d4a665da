-- A page of one user's executions, newest first. Whose an execution is, its order says: orders of the user, then the
-- executions of each in the time asked for.
select x.body, x.executed_at::text, x.id::text
from orderstream.orders o join orderstream.executions x on x.order_id = o.id
where o.user_id = %(user_id)s
  and (%(since)s::timestamptz is null or x.executed_at >= %(since)s)
  and (%(until)s::timestamptz is null or x.executed_at < %(until)s)
  and (%(symbol)s::text is null or x.symbol = %(symbol)s)
  and (%(before_at)s::text is null or (x.executed_at, x.id) < (%(before_at)s, %(before_id)s))
order by x.executed_at desc, x.id desc limit %(max_executions)s
