-- Which name an order had before another, as the events of it that are kept say, the latest first.
select name, original from (
    select e.seq, e.body::json #>> '{order,client_order_id}' as name,
           e.body::json #>> '{order,original_client_order_id}' as original
    from (
        select seq, body from orderstream.events
        where order_id = %(order_id)s and user_id = %(user_id)s and event = 'order'
        order by seq desc limit %(max_events)s
    ) e
    -- Spares parsing those without one.
    where e.body like '%%"original_client_order_id":"%%'
) n
where name is not null and original is not null
order by seq desc
