-- What happened to one order of a user and is still kept for replays; one user's events are few.
select body from orderstream.events
where user_id = %(user_id)s and event = 'order' and strpos(body, %(id)s) > 0
order by position
limit 500
