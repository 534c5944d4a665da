-- One more ticket of a user; the oldest of theirs beyond so many others go. Nobody waits for anybody: what another
-- statement is about to remove is left to it.
with surplus as (
    select digest from orderstream.tickets
    where user_id = %(user_id)s
    order by expires_at desc
    offset %(others)s
    for update skip locked
), dropped as (
    delete from orderstream.tickets where digest in (select digest from surplus)
)
insert into orderstream.tickets (digest, user_id, session_id, jwt_expires_at, expires_at)
values (
    %(digest)s, %(user_id)s, %(session_id)s, %(expires_at)s,
    clock_timestamp() + make_interval(secs => %(expires_in_s)s)
)
on conflict (digest) do nothing
