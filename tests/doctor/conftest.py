"""A database as it should be, to break."""

from collections.abc import Iterator

import pytest

from tests.postgres.roles import OWNER, SERVICE, WRITER, Roles, as_role, separated
from tests.postgres.servers import TestServer


@pytest.fixture(scope="session")
def template(postgres: TestServer) -> Iterator[str]:
    """The name of one as the documents say, migrated and granted once a server."""
    name = postgres.create_database(migrated=False)
    separated(postgres, postgres.dsn(name))
    yield name
    postgres.drop_database(name)


@pytest.fixture
def roles(postgres: TestServer, template: str) -> Iterator[Roles]:
    """A copy of it."""
    name = f"{template}_broken"
    postgres.execute(f"create database {name} template {template} owner {OWNER}")
    postgres.execute(f"alter database {name} set orderstream.doorbell = 'on'")
    dsn = postgres.dsn(name)
    yield Roles(dsn, *[as_role(dsn, role) for role in (OWNER, SERVICE, WRITER)])
    postgres.drop_database(name)
