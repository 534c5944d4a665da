-- What waits is numbered by fair shares where it is more than a step takes: a transaction of 100,000 rows no longer
-- holds up other users' events. Each user's go out in their order; see docs/decisions/0011-fair-shares.md.

set local search_path = pg_catalog, pg_temp;

-- First what takes the strongest lock: retention, which comes in between, would wait for us and we for it.
drop index orderstream.outbox_xid;
-- Serves the oldest rows of a transaction, and what outbox_xid served.
create index outbox_xid_id on orderstream.outbox (xid, id);
-- Serves the question whether anything of a user's is left that comes first.
create index outbox_user on orderstream.outbox (user_id, id);

comment on column orderstream.checkpoints.numbered is
    'all that is visible in it has its number';
comment on column orderstream.checkpoints.opened is
    'while more waits than a step takes: the newest snapshot that was looked at. What is visible in it, and not in '
    '"numbered", has its number and is deleted from the outbox, or is still there and waits';
comment on column orderstream.checkpoints.opened_after is
    'what waits so has a higher outbox id';
