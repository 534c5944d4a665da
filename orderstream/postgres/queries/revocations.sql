-- The revocations that were told of.
select id, user_id, session_id, extract(epoch from kept_until)::float8 from orderstream.revocations
where id = any (%(ids)s::bigint[])
