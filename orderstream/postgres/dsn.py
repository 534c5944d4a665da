"""Database URLs, and what may be said about them: a password is in no line that leaves this module."""

import math
import time
from collections.abc import Callable
from urllib.parse import quote

import psycopg2
from psycopg2.extensions import connection, make_dsn, parse_dsn

from orderstream.errors import DatabaseUnreachable, SettingsError

_RETRY_S = 0.2
# libpq's parameters that are a secret.
_SECRETS = {"password", "sslpassword", "oauth_client_secret"}


def parameters(dsn: str) -> dict[str, str]:
    """libpq's connection parameters of a URL or of a `key=value` string.

    Raises SettingsError where it cannot be read. libpq quotes what it stumbled over, which is a piece of the
    password when that holds an unescaped character, so its own words are never passed on.
    """
    try:
        parsed: dict[str, str] = parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        parsed = {}
    if not parsed or _is_cut_wrongly(dsn):
        raise SettingsError(
            "database_url cannot be read: postgresql://user:password@host:5432/database is wanted, "
            "with special characters in the password as %XX"
        )
    return parsed


def target(dsn: str) -> str:
    """Where a URL leads, as `host:port/database`."""
    said = parameters(dsn)
    host = said.get("host") or said.get("hostaddr") or "local socket"
    return f"{host}:{said.get('port', '5432')}/{said.get('dbname', said.get('user', ''))}"


def without_secrets(dsn: str) -> str:
    """The same connection for a program that asks for the password itself, as psql does."""
    return str(make_dsn(**{key: value for key, value in parameters(dsn).items() if key not in _SECRETS}))


def reason(error: Exception, dsn: str) -> str:
    """The last line of a driver's error, which says why; without the password, should it be quoted."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = next((line for line in lines if "failed:" in line or "FATAL:" in line), lines[0])
    password = parameters(dsn).get("password", "")
    for secret in {password, quote(password), quote(password, safe="")} - {""}:
        line = line.replace(secret, "***")
    return line


def connect(dsn: str, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> connection:
    """An open session, tried for until `timeout_s` is over; blocks.

    Raises DatabaseUnreachable; at once where the server answered and said no (password, no such database).
    """
    parameters(dsn)
    deadline = clock() + timeout_s
    while True:
        try:
            # libpq takes whole seconds, 2 at least.
            wait_s = max(2, math.ceil(deadline - clock()))
            return psycopg2.connect(dsn, connect_timeout=wait_s, application_name="orderstream")
        except psycopg2.OperationalError as error:
            line = reason(error, dsn)
            if clock() + _RETRY_S >= deadline or _is_final(line):
                raise DatabaseUnreachable(f"cannot reach the database {target(dsn)}: {line}") from None
        except psycopg2.Error as error:
            line = reason(error, dsn)
            raise DatabaseUnreachable(f"cannot reach the database {target(dsn)}: {line}") from None
        time.sleep(_RETRY_S)


def _is_final(line: str) -> bool:
    """Whether the server itself refused; one that starts, stops or is full may still let us in."""
    passing = (
        "starting up",
        "shutting down",
        "in recovery",
        "too many",
        "not yet accepting",
        "remaining connection",
    )
    return "FATAL:" in line and not any(words in line for words in passing)


def _is_cut_wrongly(dsn: str) -> bool:
    """Whether an `@` stands where no host follows: the password holds an unescaped `@`, `/`, `?` or `#`."""
    _, is_url, rest = dsn.partition("://")
    if not is_url:
        return False
    authority = rest.replace("?", "/").replace("#", "/").split("/", 1)[0]
    return rest.count("@") > 1 or rest.count("@") != authority.count("@")
