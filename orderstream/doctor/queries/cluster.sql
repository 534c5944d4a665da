-- (version, whether it is a standby, whether transactions are read-only by default, notification queue in use: 0 to 1).
select split_part(current_setting('server_version'), ' ', 1), pg_is_in_recovery(),
       current_setting('default_transaction_read_only') = 'on', pg_notification_queue_usage()
