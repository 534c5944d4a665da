-- Every trigger that calls a function of ours, on whatever table of theirs: (table, name, enabled).
select format('%s.%s', n.nspname, c.relname), t.tgname::text, t.tgenabled::text
from pg_trigger t
join pg_proc f on f.oid = t.tgfoid join pg_namespace m on m.oid = f.pronamespace and m.nspname = 'orderstream'
join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and not c.relispartition and n.nspname <> 'orderstream'
