"""`orderstream ingest-fix`: the command, what plays a log, what it says of it, and what it sets aside."""
