#!/bin/sh
# Run by Postgres's image, once, while its folder is empty: makes the role that grants.sql lets in.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$SERVICE_PASSWORD" --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
create role orderstream_service login password :'password';
SQL
