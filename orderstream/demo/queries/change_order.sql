-- Moves an order on, unless somebody else has changed it since we read it.
update public.orders set
    status = %(status)s, quantity = %(quantity)s, price = %(price)s,
    filled_quantity = %(filled_quantity)s, average_price = %(average_price)s,
    reason_code = %(reason_code)s, reason = %(reason)s
where id = %(id)s and version = %(version)s
returning version
