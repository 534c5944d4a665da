-- Removes events past their time, a batch, but each user's newest: it holds the user's number. Says how many, and where
-- to go on (null: nothing old enough is left). What is left of a user is a run without holes: an event that was the
-- newest when it was passed over goes with the first one after it that goes.
with batch as materialized (
    select * from (
        select position, user_id, seq, sequenced_at from orderstream.events
        where position > %(after)s order by position limit %(max_rows)s) page
    where sequenced_at < now() - make_interval(secs => %(older_s)s)
),
due as materialized (
    select b.user_id, max(b.seq) as seq from batch b
    where exists (select from orderstream.events n where n.user_id = b.user_id and n.seq = b.seq + 1)
    group by b.user_id
),
gone as (
    delete from orderstream.events e using due d where e.user_id = d.user_id and e.seq <= d.seq returning 1
)
select (select count(*) from gone), (select max(position) from batch)
