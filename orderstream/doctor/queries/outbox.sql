-- Rows that are visible and have no number yet, at most 100,000, and the age in seconds of the oldest; the age of the
-- oldest row that is kept at all; nulls where there is none. Last, the position of the newest number.
with previous as materialized (
    select numbered, position from orderstream.checkpoints order by id desc limit 1
),
waiting as (
    select o.written_at
    from orderstream.outbox o cross join previous p
    -- What has its number since, in the checkpoint's open window, is deleted.
    where o.xid >= pg_snapshot_xmin(p.numbered) and not pg_visible_in_snapshot(o.xid, p.numbered)
    limit 100000
)
select (select count(*) from waiting),
       (select extract(epoch from clock_timestamp() - min(written_at))::float8 from waiting),
       (select extract(epoch from clock_timestamp() - written_at)::float8
        from orderstream.outbox order by id limit 1),
       (select position from previous)
