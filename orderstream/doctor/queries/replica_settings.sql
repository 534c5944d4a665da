-- Whose sessions begin with session_replication_role = replica, in which triggers like ours do not fire:
-- (what to alter).
select concat_ws(' in database ', 'role ' || quote_ident(r.rolname), quote_ident(d.datname))
from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase
where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and 'session_replication_role=replica' = any (s.setconfig)
  and r.rolname is not null
union all
select 'database ' || quote_ident(current_database())
from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase and d.datname = current_database()
where s.setrole = 0 and 'session_replication_role=replica' = any (s.setconfig)
union all
select 'system' from pg_settings
where name = 'session_replication_role' and setting = 'replica'
  and source in ('configuration file', 'command line', 'environment variable')
