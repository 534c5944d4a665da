-- One change of the reserved user's order, through the real table.
select orderstream.change_canary(%(canary)s, %(mark)s)
