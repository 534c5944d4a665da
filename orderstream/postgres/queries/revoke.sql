-- Ends a session of a user, or ends it again, and tells every process; over the most that a user keeps of sessions that
-- were not open, lets the oldest go of the session that ended most of them.
with known as (
    select %(open)s or exists (
        select from orderstream.deliveries where user_id = %(user_id)s and session_id = %(session_id)s) as was_open
),
ended as (
    insert into orderstream.revocations (user_id, session_id, ended_by, was_open, kept_until)
    select %(user_id)s, %(session_id)s, %(ended_by)s, was_open, clock_timestamp() + make_interval(secs => %(keep_s)s)
    from known
    on conflict (user_id, session_id) do update
        set kept_until = excluded.kept_until, was_open = revocations.was_open or excluded.was_open
    returning id, kept_until
),
counted as (
    select id, count(*) over () as kept, count(*) over (partition by ended_by) as of_one
    from orderstream.revocations
    where user_id = %(user_id)s and session_id <> %(session_id)s and not was_open and kept_until > clock_timestamp()
),
let_go as (
    -- Not removed: the other processes, too, are told by its row. Retention removes it.
    update orderstream.revocations set kept_until = to_timestamp(0)
    where id = (select id from counted where kept >= %(most)s order by of_one desc, id limit 1)
    returning id, kept_until
)
select %(session_id)s, extract(epoch from kept_until)::float8, pg_notify('orderstream_revocations', id::text) from ended
union all
select revocations.session_id, extract(epoch from let_go.kept_until)::float8,
       pg_notify('orderstream_revocations', let_go.id::text)
from let_go join orderstream.revocations using (id)
