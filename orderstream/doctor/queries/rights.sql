-- Each right there could be on what is ours and on the platform's two tables, and whether this role has it, however it
-- came to it. A right on a column counts only where there is none on the whole table.
with relation as (
    select c.oid, n.nspname || '.' || c.relname as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v')
      and (n.nspname = 'orderstream' or n.nspname = 'public' and c.relname in ('orders', 'executions'))
),
whole as (
    select r.oid, r.name, p.privilege, has_table_privilege(r.oid, p.privilege) as held
    from relation r cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'trigger'])
        as p (privilege)
)
select 'relation', w.name, w.privilege, '' as column_name, w.held from whole w
union all
select 'relation', w.name, w.privilege, a.attname::text, has_column_privilege(w.oid, a.attnum, w.privilege)
from whole w join pg_attribute a on a.attrelid = w.oid and a.attnum > 0 and not a.attisdropped
where not w.held and w.privilege in ('select', 'insert', 'update')
union all
select 'schema', n.nspname::text, p.privilege, '', has_schema_privilege(n.oid, p.privilege)
from pg_namespace n cross join unnest(array['usage', 'create']) as p (privilege) where n.nspname = 'orderstream'
union all
select 'function', n.nspname || '.' || f.proname || '('
       || (select coalesce(string_agg(replace(format_type(t.type, null), 'timestamp with time zone', 'timestamptz'),
                                      ', ' order by t.at), '')
           from unnest(f.proargtypes) with ordinality as t (type, at)) || ')',
       'execute', '', has_function_privilege(f.oid, 'execute')
from pg_proc f join pg_namespace n on n.oid = f.pronamespace where n.nspname = 'orderstream'
