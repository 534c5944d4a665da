"""The Postgres edge: schema, sequencer, follower, queries; the only importer of aiopg and psycopg2."""
