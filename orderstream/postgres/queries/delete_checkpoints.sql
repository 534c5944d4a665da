-- Removes checkpoints but the newest hundred, a batch; says how many.
with gone as (
    delete from orderstream.checkpoints where id = any (array(
        select id from orderstream.checkpoints
        where id <= (select max(id) from orderstream.checkpoints) - 100 order by id limit %(max_rows)s))
    returning 1
)
select count(*) from gone
