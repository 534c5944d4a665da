-- Removes one node that was not seen for so long, with its deliveries, in one statement: a node that comes back finds
-- its row gone, and knows by that that its deliveries are gone too. Says how many nodes, and how many deliveries.
with gone as (
    delete from orderstream.nodes where id = (
        select id from orderstream.nodes
        where seen_at < clock_timestamp() - make_interval(secs => %(unseen_s)s) order by seen_at limit 1 for update)
    returning id
),
closed as (
    delete from orderstream.deliveries d using gone where d.node_id = gone.id returning 1
)
select (select count(*) from gone), (select count(*) from closed)
