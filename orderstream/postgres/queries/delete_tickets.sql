-- Tickets whose time is over, a batch of them.
with gone as (
    delete from orderstream.tickets
    where digest in (
        select digest from orderstream.tickets
        where expires_at < clock_timestamp()
        limit %(max_rows)s
        for update skip locked
    )
    returning 1
)
select count(*) from gone
