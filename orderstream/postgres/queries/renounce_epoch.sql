-- A new epoch where the one named is still in force: whoever of several processes finds it broken, it is renewed once.
-- Who waits for another that renews it looks at what there is after that: a statement's snapshot is taken before it waits.
lock table orderstream.checkpoints in exclusive mode;
select orderstream.new_epoch('events were set back')
from (select epoch from orderstream.epochs order by id desc limit 1) e where e.epoch = %(epoch)s
