-- The epoch, and whether the promise was made on this cluster and timeline; errors on a standby.
select e.epoch,
       e.timeline = orderstream.timeline() and e.system_identifier = (select system_identifier from pg_control_system())
from orderstream.epochs e order by e.id desc limit 1
