-- Removes revocations past their time, a batch; says how many.
with gone as (
    delete from orderstream.revocations where (user_id, session_id) in (
        select user_id, session_id from orderstream.revocations
        where kept_until < clock_timestamp() order by kept_until limit %(max_rows)s)
    returning 1
)
select count(*) from gone
