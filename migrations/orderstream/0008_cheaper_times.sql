-- A time as text, three of them in each event: to_char is stable, and a function that claims to be more than its body is
-- never inlined but called, through all that it takes to run a query.

set local search_path = pg_catalog, pg_temp;

create or replace function orderstream.rfc3339(at timestamptz) returns text
language sql stable parallel safe
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
