-- Removes rows that are surely numbered, a batch, from the oldest on; says how many, and where to go on.
with numbered as materialized (
    select pg_snapshot_xmin(numbered) as before from orderstream.checkpoints order by id desc limit 1
),
batch as materialized (
    select id, xid from orderstream.outbox
    where xid >= %(from_xid)s::text::xid8 and xid < (select before from numbered) order by xid limit %(max_rows)s
),
gone as (
    delete from orderstream.outbox where id = any (array(select id from batch)) returning 1
)
select (select count(*) from gone), coalesce((select xid::text from batch order by xid desc limit 1), %(from_xid)s)
