-- A new epoch where the one in force was begun on another cluster or timeline; its name, or no row.
select orderstream.new_epoch('the Postgres cluster or its timeline changed')
from (select timeline, system_identifier from orderstream.epochs order by id desc limit 1) e
where e.timeline <> orderstream.timeline()
   or e.system_identifier <> (select system_identifier from pg_control_system())
