"""Three separate roles on a test database: who migrates, who serves, who writes orders."""

from pathlib import Path
from typing import NamedTuple

from psycopg2.extensions import make_dsn

from orderstream.postgres import migrations
from tests.postgres.feed import run
from tests.postgres.servers import TestServer

OWNER, SERVICE, WRITER = "orderstream_owner", "orderstream_service", "order_service"

GRANTS = Path(__file__).parents[2] / "config" / "grants.sql"


class Roles(NamedTuple):
    """A dsn for each, to one migrated database."""

    admin: str
    owner: str
    service: str
    writer: str


def as_role(dsn: str, role: str) -> str:
    """The same database as another role; the tests' servers trust everybody."""
    return make_dsn(dsn, user=role)


def create_roles(server: TestServer) -> None:
    """Once a server; none of them is a superuser or may do anything yet."""
    for role in (OWNER, SERVICE, WRITER):
        if not server.execute(f"select 1 from pg_roles where rolname = '{role}'"):
            server.execute(f"create role {role} login")


def separated(server: TestServer, database: str) -> Roles:
    """An empty database migrated by its owner, and granted as config/grants.sql says."""
    create_roles(server)
    roles = Roles(database, *[as_role(database, role) for role in (OWNER, SERVICE, WRITER)])
    [(name,)] = run(database, "select current_database()")
    run(database, f"alter database {name} owner to {OWNER}")
    # As in Postgres 14, where everybody may create in public: no defence may rest on it.
    run(database, "grant create, usage on schema public to public")
    migrations.apply(roles.owner)
    run(roles.owner, GRANTS.read_text(encoding="utf-8"))
    run(roles.owner, f"grant select, insert, update, delete on public.orders, public.executions to {WRITER}")
    return roles
