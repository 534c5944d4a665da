-- What has its number and is there all the same, while something is left: a leader of an earlier version did not delete it, and
-- a step would take it for what waits. Of a window of ours it is nothing.
delete from orderstream.outbox o
using (select * from orderstream.checkpoints order by id desc limit 1) c
where o.id <= c.opened_after
  and pg_visible_in_snapshot(o.xid, c.opened) and not pg_visible_in_snapshot(o.xid, c.numbered)
