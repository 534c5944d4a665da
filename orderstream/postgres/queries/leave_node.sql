-- A node that stops takes its deliveries along.
with gone as (delete from orderstream.deliveries where node_id = %(node_id)s::uuid)
delete from orderstream.nodes where id = %(node_id)s::uuid
