-- Ends a session of a user, or ends it again, and tells every process; no row where the user has ended too many.
with ended as (
    insert into orderstream.revocations (user_id, session_id, kept_until)
    select %(user_id)s, %(session_id)s, clock_timestamp() + make_interval(secs => %(keep_s)s)
    where (select count(*) from orderstream.revocations where user_id = %(user_id)s) < %(most)s
       or exists (
           select from orderstream.revocations where user_id = %(user_id)s and session_id = %(session_id)s)
    on conflict (user_id, session_id) do update set kept_until = excluded.kept_until
    returning id, kept_until
)
select extract(epoch from kept_until)::float8, pg_notify('orderstream_revocations', id::text) from ended
