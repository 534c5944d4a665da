-- Who asks, and what it is by itself.
select current_user::text, r.rolsuper,
       coalesce((select pg_has_role(n.nspowner, 'usage') from pg_namespace n where n.nspname = 'orderstream'), false)
from pg_roles r where r.rolname = current_user
