-- Who holds the leader's lock and the doorbell, and who holds or wants the followers' EARS for itself alone:
-- (0 | 1 | 2, pid, whether exclusively, transaction, program, role).
select l.objid::int8, l.pid, l.mode = 'ExclusiveLock', l.virtualtransaction,
       coalesce(a.application_name, ''), coalesce(a.usename::text, '')
from pg_locks l left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.classid = 1869768306 and l.objsubid = 2
  and (l.objid in (0, 1) and l.granted or l.objid = 2 and l.mode = 'ExclusiveLock')
  and l.database = (select oid from pg_database where datname = current_database())
order by l.objid, l.pid
