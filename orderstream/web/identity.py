"""Who is asking: the user of the JWT in `Authorization: Bearer`, or in the cookie that the login service set.

The one seat of the trust boundary: handlers get an Identity, and never take a user from the request (I6).
"""

from urllib.parse import urlsplit

from aiohttp import web

from orderstream.core.claims import Identity, identity
from orderstream.errors import Forbidden, Unauthorized
from orderstream.web import jwt

# A JWT is a few hundred bytes; more is not worth verifying.
MAX_JWT_CHARS = 8192


class Authenticator:
    """Reads and verifies credentials."""

    def __init__(self, *, jwt_secret: str, jwt_cookie: str, jwt_leeway_s: float, cors_origins: frozenset[str]) -> None:
        self._jwt_secret = jwt_secret
        self._jwt_cookie = jwt_cookie
        self.leeway_s = jwt_leeway_s
        self._cors_origins = cors_origins

    def authenticate(self, request: web.Request) -> Identity:
        """Raises Unauthorized (ExpiredJwt where that is all that is wrong), or Forbidden for a cookie across sites."""
        encoded = self._bearer(request)
        if encoded is None:
            encoded = self._cookie(request)
        if encoded is None:
            raise Unauthorized("send a JWT: as Authorization: Bearer, or in the cookie")
        if len(encoded) > MAX_JWT_CHARS:
            raise Unauthorized("the JWT is too long", "invalid_token")
        return identity(jwt.verify(encoded, self._jwt_secret, self.leeway_s))

    def _bearer(self, request: web.Request) -> str | None:
        scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer" or not credential.strip():
            # No error code: to try another scheme is to send no credential (RFC 6750 section 3.1).
            raise Unauthorized("only Authorization: Bearer <jwt> is understood")
        return credential.strip()

    def _cookie(self, request: web.Request) -> str | None:
        encoded = request.cookies.get(self._jwt_cookie)
        if encoded is not None and self._is_cross_site(request):
            raise Forbidden("the cookie is not taken from a page of another site")
        return encoded

    def _is_cross_site(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        if origin in self._cors_origins:
            return False
        if origin is not None and _host(origin) != request.host:
            return True
        return request.headers.get("Sec-Fetch-Site", "none") == "cross-site"


def _host(origin: str) -> str | None:
    """`host:port` of an origin, None where it has none that can be read."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None
