-- Asks for a user's order to be cancelled, if it is at work.
update public.orders set status = 'pending_cancel'
where id = %(id)s and user_id = %(user_id)s and status = any(%(statuses)s)
returning version
