"""What is said of a database URL, and what is not."""

import pytest

from orderstream.postgres import dsn

URLS = [
    "postgresql://me:hunter2@db:5433/orders?sslmode=require",
    "host=db port=5433 user=me dbname=orders sslmode=require password=hunter2",
    "postgresql://me@db:5433/orders?sslmode=require&password=hunter2&sslpassword=hunter2",
]


@pytest.mark.parametrize("url", URLS)
def test_target_is_host_and_name(url: str) -> None:
    """Enough to see which database it is, however it was written."""
    assert dsn.target(url) == "db:5433/orders"


@pytest.mark.parametrize("url", URLS)
def test_dsn_without_secrets_keeps_the_rest(url: str) -> None:
    """For a command that is printed and that asks for the password itself."""
    kept = {"host": "db", "port": "5433", "user": "me", "dbname": "orders", "sslmode": "require"}
    assert dsn.parameters(dsn.without_secrets(url)) == kept
