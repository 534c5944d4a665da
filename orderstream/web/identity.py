"""Who is asking: a JWT in `Authorization: Bearer`, or a ticket that opens a stream, or a JWT in the login's cookie.

The one seat of the trust boundary: handlers get an Identity, and never take a user from the request (I6). Exactly one
credential counts: the header before the ticket before the cookie, what is sent on purpose before what a browser adds by
itself. The one that counts is good or the request is refused; the others are not looked at.
"""

import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.errors import Forbidden, InvalidParameter, SessionRevoked, Unauthorized
from orderstream.web.jwt import Verifier, fingerprint
from orderstream.web.ticket_desk import TicketDesk

# Names that others give a JWT in a URL, where it would stay in histories and logs (RFC 6750 section 5.3).
_URL_NAMES = frozenset({"access_token", "id_token", "jwt", "token"})


class AuthenticatorSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    jwt_cookie: str = "orderstream_jwt"
    cors_origins: list[str] = []


def _nobody(_: Identity) -> bool:
    return False


class Authenticator:
    """Reads and verifies credentials.

    `revoked` says whose session was ended by hand; it is asked for every request, and must be as quick as a look into a
    set. Replace it to revoke sessions.
    """

    def __init__(self, verifier: Verifier, tickets: TicketDesk, settings: AuthenticatorSettings) -> None:
        self._verifier = verifier
        self.tickets = tickets
        self.jwt_cookie = settings.jwt_cookie
        self._origins = frozenset(settings.cors_origins)
        self.revoked: Callable[[Identity], bool] = _nobody
        self._insiders: dict[bytes, Identity] = {}

    def issue(self, identity: Identity) -> str:
        """A bearer credential of `identity` for this process itself: nobody else can know it, and it ends with it."""
        credential = secrets.token_urlsafe(32)
        self._insiders[fingerprint(credential)] = identity
        return credential

    async def authenticate(self, request: web.Request, *, ticket: bool = False) -> Identity:
        """`ticket`: one may be used here, and is spent by this.

        Raises Unauthorized (ExpiredJwt, SessionRevoked where that is all that is wrong), InvalidParameter for a
        credential at the wrong place, Forbidden for a cookie across sites, or Unavailable.
        """
        identity = await self._identity(request, ticket)
        self._refuse_revoked(identity)
        return identity

    def credential_of(self, request: web.Request) -> str:
        """What counted in a request that was authenticated without a ticket; for `known`."""
        encoded = _bearer(request) or self._cookie(request)
        assert encoded is not None
        return encoded

    def known(self, credential: str) -> Identity | None:
        """Whose it is, where that is remembered; None where it must be verified (again), and anything may be asked.
        Raises Unauthorized as `authenticate` does."""
        known_by = fingerprint(credential)
        found = self._insiders.get(known_by) or self._verifier.remembered(known_by)
        if found is not None:
            self._refuse_revoked(found)
        return found

    def look_again(self, identity: Identity) -> None:
        """Raises Unauthorized, as `authenticate` does, where a credential that was good has ended."""
        self._verifier.refuse_expired(identity)
        self._refuse_revoked(identity)

    def _refuse_revoked(self, identity: Identity) -> None:
        if self.revoked(identity):
            raise SessionRevoked("this session was logged out", "invalid_token")

    async def _verified(self, encoded: str) -> Identity:
        insider = self._insiders and self._insiders.get(fingerprint(encoded))
        return insider or await self._verifier.verify(encoded)

    async def _identity(self, request: web.Request, ticket: bool) -> Identity:
        if request.query_string:
            _refuse_jwt_in_url(request)
        if (encoded := _bearer(request)) is not None:
            return await self._verified(encoded)
        if (text := request.query.get("ticket")) is not None:
            if not ticket:
                raise InvalidParameter("a ticket only opens a stream")
            return await self.tickets.spend(text)
        if (encoded := self._cookie(request)) is not None:
            return await self._verifier.verify(encoded)
        raise Unauthorized("send a JWT: as Authorization: Bearer, or in the cookie")

    def _cookie(self, request: web.Request) -> str | None:
        sent = [each.partition("=") for header in request.headers.getall("Cookie", []) for each in header.split(";")]
        found = [value.strip().strip('"') for name, _, value in sent if name.strip() == self.jwt_cookie]
        if not found:
            return None
        if self._is_cross_site(request):
            raise Forbidden("the cookie is not taken from a page of another site")
        if len(found) > 1:
            # One may have been planted by another host of the site, which is never told apart (RFC 6265 section 8.6).
            raise InvalidParameter("there are two cookies with a JWT: sign out, and in again")
        return found[0]

    def _is_cross_site(self, request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        if origin in self._origins:
            return False
        site = request.headers.get("Sec-Fetch-Site")
        if site is not None:
            # The browser compared scheme, host and port as it knows them; a proxy may have changed ours.
            return site not in ("same-origin", "none")
        return origin is not None and _host(origin) != request.host


def _bearer(request: web.Request) -> str | None:
    sent = request.headers.getall("Authorization", [])
    if not sent or not sent[0].strip():
        return None
    scheme, _, credential = sent[0].partition(" ")
    if len(sent) > 1 or scheme.lower() != "bearer" or not credential.strip():
        # No error code: to try another scheme is to send no credential (RFC 6750 section 3.1).
        raise Unauthorized("only Authorization: Bearer <jwt> is understood")
    return credential.strip()


def _refuse_jwt_in_url(request: web.Request) -> None:
    if not _URL_NAMES.isdisjoint(request.query) or request.query.get("ticket", "").count(".") == 2:
        raise InvalidParameter("a JWT is not taken from a URL, which is logged: POST it to /v1/tickets for a ticket")


def _host(origin: str) -> str | None:
    """`host:port` of an origin, None where it has none that can be read."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None
