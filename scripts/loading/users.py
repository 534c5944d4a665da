"""Those who stream, each with a credential: of the settings' secret, of a file, or signed in to the demo."""

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from orderstream.web import jwt
from scripts.fleet.connection import Target

_TIMEOUT_S = 10.0
_COOKIE = "orderstream_jwt="


class Unusable(Exception):
    """What was given cannot be worked with; the line says why."""


class User:
    """`name` is None where only the service knows it."""

    def __init__(self, encoded: str, name: str | None = None) -> None:
        self.name = name
        self.authorization = b"Authorization: Bearer %b\r\n" % encoded.encode()


def by_secret(secret: str, count: int, prefix: str, expires_s: float) -> list[User]:
    """Of names that nobody else has."""
    names = [f"{prefix}{number}" for number in range(count)]
    return [User(jwt.issue(secret, name, expires_s), name) for name in names]


def of_file(path: Path, count: int) -> list[User]:
    """A JWT a line; raises Unusable."""
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from None
    if len(lines) < count:
        raise Unusable(f"{path} has {len(lines)} JWTs, and {count} users are wanted: give --users {len(lines)}")
    return [User(line) for line in lines[:count]]


def of_demo(target: Target, count: int) -> list[User]:
    """Signed in as its page does it; raises Unusable."""
    connection = connect(target)
    try:
        connection.request("GET", f"{target.path}/demo/session")
        names = json.load(connection.getresponse())["users"]
        if count > len(names):
            raise Unusable(f"the demo has {len(names)} users to sign in as: give --users {len(names)}")
        return [User(_sign_in(connection, target, name), name) for name in names[:count]]
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise Unusable(f"{target.authority} is no demo that one can sign in to: {error}") from None
    finally:
        connection.close()


def _sign_in(connection: HTTPConnection, target: Target, name: str) -> str:
    body, headers = json.dumps({"user": name}), {"Content-Type": "application/json"}
    connection.request("POST", f"{target.path}/demo/session", body, headers)
    answer = connection.getresponse()
    answer.read()
    cookie = answer.headers["Set-Cookie"] or ""
    if answer.status != 201 or not cookie.startswith(_COOKIE):
        raise Unusable(f"the demo did not sign {name} in: {answer.status}")
    return cookie.removeprefix(_COOKIE).partition(";")[0]


def connect(target: Target) -> HTTPConnection:
    """For single requests."""
    host, port = target.address
    if target.tls is None:
        return HTTPConnection(host, port, timeout=_TIMEOUT_S)
    return HTTPSConnection(target.host, port, timeout=_TIMEOUT_S, context=target.tls)
