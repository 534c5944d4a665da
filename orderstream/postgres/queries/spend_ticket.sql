-- Whose ticket it was, to whoever shows it first; the row lock of the delete decides.
delete from orderstream.tickets
where digest = %(digest)s and expires_at > clock_timestamp()
returning user_id, session_id, jwt_expires_at
