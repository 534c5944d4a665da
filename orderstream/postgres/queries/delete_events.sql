-- Removes events past their time, a batch, but each user's newest: it holds the user's number. Says how many, and where
-- to go on (null: nothing old enough is left).
with batch as materialized (
    select * from (
        select position, user_id, seq, sequenced_at from orderstream.events
        where position > %(after)s order by position limit %(max_rows)s) page
    where sequenced_at < now() - make_interval(secs => %(older_s)s)
),
gone as (
    delete from orderstream.events e using batch b
    where e.position = b.position and exists (
        select from orderstream.events n where n.user_id = b.user_id and n.seq = b.seq + 1)
    returning 1
)
select (select count(*) from gone), (select max(position) from batch)
