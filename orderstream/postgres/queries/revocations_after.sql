-- A page of the revocations that are in force, in order of id.
select id, user_id, session_id, extract(epoch from kept_until)::float8 from orderstream.revocations
where id > %(after)s and kept_until > clock_timestamp() order by id limit %(max_rows)s
