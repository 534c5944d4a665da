-- How far events are numbered.
select coalesce(max(position), 0) from orderstream.events
