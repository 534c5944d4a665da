"""The demo: a Postgres of its own and an exchange that writes to it, to see the streams move."""
