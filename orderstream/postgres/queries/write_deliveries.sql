-- A node's sign of life, with the deliveries that it opened, moved and closed since; says whether the node was unknown.
with node as (
    insert into orderstream.nodes (id, seen_at) values (%(node_id)s::uuid, clock_timestamp())
    on conflict (id) do update set seen_at = excluded.seen_at
    returning xmax = 0 as unknown
),
gone as (
    delete from orderstream.deliveries where node_id = %(node_id)s::uuid and number = any (%(closed)s::bigint[])
),
told as (
    insert into orderstream.deliveries
        (node_id, number, user_id, session_id, transport, platform, address, opened_at, cursor)
    select %(node_id)s::uuid, o.number, o.user_id, o.session_id, o.transport, o.platform, o.address,
           to_timestamp(o.opened_at), o.cursor
    from json_to_recordset(%(opened)s::json) as o (
        number bigint, user_id text, session_id text, transport text, platform text, address text, opened_at float8,
        cursor text)
    on conflict (node_id, number) do update set cursor = excluded.cursor
)
select unknown from node
