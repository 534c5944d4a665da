-- Whether triggers ring, why they might not, and whose sessions never do:
-- (enabled, max_prepared_transactions, setting, roles).
select orderstream.doorbell_enabled(), current_setting('max_prepared_transactions'),
       coalesce(current_setting('orderstream.doorbell', true), ''),
       array(select r.rolname::text
             from pg_db_role_setting s join pg_roles r on r.oid = s.setrole
             where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
               and 'orderstream.doorbell=off' = any (s.setconfig)
             order by 1)
