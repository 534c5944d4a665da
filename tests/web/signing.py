"""What a login service does in tests: keys of each kind, JWTs signed with them, a server that publishes keys."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = "a-secret-of-the-tests-of-32-bytes-or-more"

_MAKE: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "RS256-short": lambda: rsa.generate_private_key(public_exponent=65537, key_size=1024),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}
_TO_JWK = {"RS": RSAAlgorithm.to_jwk, "ES": ECAlgorithm.to_jwk, "Ed": OKPAlgorithm.to_jwk}


@cache
def _pair(kind: str, _which: int) -> Any:
    return _MAKE[kind]()


def private_key(kind: str, which: int = 0) -> Any:
    """The key pair number `which` of a kind; made once a run."""
    return _pair(kind, which)


def public_pem(kind: str, which: int = 0) -> str:
    """Its public half, as the settings take it."""
    key = private_key(kind, which).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(kind: str) -> str:
    """What must never be given to us."""
    return private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwk(kind: str, which: int = 0, **more: object) -> dict[str, Any]:
    """Its public half, as a JWKS has it; `more` are members of the entry, None takes one away."""
    entry = _TO_JWK[kind[:2]](private_key(kind, which).public_key(), as_dict=True) | more
    return {name: value for name, value in entry.items() if value is not None}


def signed(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: object) -> str:
    """A JWT of u1, good for the whole run of the tests; claims that are None are left out."""
    whole = {"sub": "u1", "exp": time.time() + 7200} | claims
    return jwt.encode({name: value for name, value in whole.items() if value is not None}, key, algorithm, headers)


def segment(text: str) -> str:
    """A part of a JWT that was put together by hand."""
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


class KeyServer:
    """Publishes `entries` and counts the `fetches`; `answer` may be replaced by another, `fetched` tells of each."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.fetches = 0
        self.fetched = asyncio.Condition()
        self.answer: Callable[[], Awaitable[web.StreamResponse]] = self.publish
        self.url = ""

    async def publish(self) -> web.Response:
        return web.Response(text=json.dumps({"keys": self.entries}), content_type="application/jwk-set+json")

    async def handle(self, _: web.Request) -> web.StreamResponse:
        self.fetches += 1
        async with self.fetched:
            self.fetched.notify_all()
        return await self.answer()


@asynccontextmanager
async def key_server(*entries: dict[str, Any]) -> AsyncIterator[KeyServer]:
    """A KeyServer that listens on loopback."""
    keys = KeyServer()
    keys.entries = list(entries)
    app = web.Application()
    app.router.add_get("/jwks.json", keys.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        keys.url = str(server.make_url("/jwks.json"))
        yield keys
