"""JWTs: verified once and then remembered, issued for development only.

What the claims then mean, and which ids are refused, is `core.claims`; which key verifies, `web.keys` and `web.jwks`.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import msgspec
from jwt.utils import base64url_decode, base64url_encode

from orderstream.core.claims import Identity, identity
from orderstream.core.recent import Recent
from orderstream.errors import Unauthorized
from orderstream.web.jwks import Jwks
from orderstream.web.keys import ALGORITHMS, Key

# A JWT is a few hundred bytes; more is not worth verifying.
MAX_JWT_CHARS = 8192

_INVALID = "invalid_token"  # RFC 6750, 3.1

# Of this process: nobody else can look for two credentials with one fingerprint.
_FINGERPRINTS = secrets.token_bytes(32)


class JwtSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names; an empty issuer or audience is not checked."""

    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_leeway_s: float = 30.0
    max_verified_jwts: int = 20_000
    revocation_keep_s: float = 2_592_000.0


class ExpiredJwt(Unauthorized):
    """A JWT of ours whose time is over: on a stream that is `goaway auth-expired` rather than 401."""


def issue(
    secret: str,
    user_id: str,
    expires_s: float,
    session_id: str | None = None,
    *,
    issuer: str = "",
    audience: str = "",
) -> str:
    """A JWT for `user_id`, good for `expires_s` seconds from now; for development, the demo and tests."""
    now_s = time.time()
    named = {"sid": session_id, "iss": issuer, "aud": audience}
    claims = {"sub": user_id, "iat": int(now_s), "exp": int(now_s + expires_s)}
    return jwt.encode(claims | {name: value for name, value in named.items() if value}, secret, "HS256")


class Verifier:
    """Knows the bearer of a JWT. `fixed` are the keys of the settings.

    A JWT that names its key (`kid`) is the JWKS's, where there is one; the others are for the keys of the settings, and
    where there are none, for the only key of the JWKS.
    """

    def __init__(
        self,
        fixed: Sequence[Key],
        jwks: Jwks | None,
        settings: JwtSettings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fixed = fixed
        self._jwks = jwks
        self._settings = settings
        self._now = now
        self._verified: Recent[bytes, Identity] = Recent(settings.max_verified_jwts)
        self._version = 0

    async def verify(self, encoded: str) -> Identity:
        """Raises ExpiredJwt, Unauthorized with what is wrong, or Unavailable while its key cannot be had."""
        if len(encoded) > MAX_JWT_CHARS:
            raise Unauthorized("the JWT is too long", _INVALID)
        if not encoded.isascii():
            raise Unauthorized("the JWT is not valid", _INVALID)
        known_by = fingerprint(encoded)
        if (known := self.remembered(known_by)) is not None:
            return known
        if not all(map(_is_canonical, encoded.split("."))):
            raise Unauthorized("the JWT is not valid", _INVALID)
        keys = await self._keys(_kid(encoded))
        # Not of the signature, of which anybody can make another that is as good (ES256: r, n - s): each would be a
        # session of its own, and outlive that one's end.
        signed = encoded.rpartition(".")[0]
        said = claims(encoded, keys, self._settings)
        found = identity(said, hashlib.sha256(signed.encode()).digest())
        self._refuse_long(found.expires_at, said.get("iat"))
        self._verified.put(known_by, found)
        return found

    def _refuse_long(self, expires_at: float, issued_at: object) -> None:
        """One that outlived the memory of its session's end would be good again after it."""
        # What was issued in our future is not the younger for it. NaN is not smaller than anything, so min gives ours.
        now = self._now()
        since = min(now + self._settings.jwt_leeway_s, issued_at) if isinstance(issued_at, (int, float)) else now
        if expires_at - since > self._settings.revocation_keep_s:
            raise Unauthorized("the JWT is good for longer than any may be", _INVALID)

    async def _keys(self, kid: str | None) -> Sequence[Key]:
        if self._jwks is None or (kid is None and self._fixed):
            return self._fixed
        return await self._jwks.find(kid)

    def remembered(self, known_by: bytes) -> Identity | None:
        """Whose the JWT of this fingerprint is, where it was verified before; raises ExpiredJwt."""
        # One of them may have been verified by a key that has left the set.
        if self._jwks is not None and self._jwks.version != self._version:
            self._version = self._jwks.version
            self._verified.clear()
        found = self._verified.get(known_by)
        if found is not None:
            self.refuse_expired(found)
        return found

    def refuse_expired(self, known: Identity) -> None:
        """Raises ExpiredJwt where its JWT was good, and is not any more."""
        if self._now() >= known.expires_at + self._settings.jwt_leeway_s:
            raise ExpiredJwt("the JWT has expired", _INVALID)


def fingerprint(credential: str) -> bytes:
    """What it is looked up by, so that the time that it takes says nothing about what is right of a guess.

    120 bits, since one is kept for each JWT that is remembered: a SHA-256 takes 32 bytes more."""
    return hashlib.blake2b(credential.encode(errors="surrogateescape"), digest_size=15, key=_FINGERPRINTS).digest()


def claims(encoded: str, keys: Sequence[Key], settings: JwtSettings) -> dict[str, Any]:
    """The claims of a JWT signed with one of `keys` and in force, with `exp` (epoch seconds) and `sub` among them.

    Raises ExpiredJwt, or Unauthorized with what is wrong.
    """
    for key in keys:
        try:
            return _decoded(encoded, key, settings)
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            continue
    raise Unauthorized("the JWT is not valid", _INVALID)


def _decoded(encoded: str, key: Key, settings: JwtSettings) -> dict[str, Any]:
    # Unchecked, PyJWT would refuse every JWT that names an audience; and every new one while our clock is behind: it
    # takes `iat` for what `nbf` is (RFC 7519 section 4.1.6: it says how old a JWT is).
    options: Any = {"require": ["exp", "sub"], "verify_aud": bool(settings.jwt_audience), "verify_iat": False}
    try:
        return jwt.decode(
            encoded,
            key.material,
            algorithms=[key.algorithm],
            leeway=settings.jwt_leeway_s,
            issuer=settings.jwt_issuer or None,
            audience=settings.jwt_audience or None,
            options=options,
        )
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
        raise
    except jwt.ExpiredSignatureError:
        raise ExpiredJwt("the JWT has expired", _INVALID) from None
    except jwt.MissingRequiredClaimError as error:
        raise Unauthorized(f"the JWT lacks the claim {error.claim}", _INVALID) from None
    except jwt.ImmatureSignatureError:
        raise Unauthorized("the JWT is not valid yet", _INVALID) from None
    except jwt.InvalidAudienceError:
        raise Unauthorized("the JWT is for another audience", _INVALID) from None
    except jwt.InvalidIssuerError:
        raise Unauthorized("the JWT is from another issuer", _INVALID) from None
    # What was signed may still be of any kind.
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthorized("the JWT is not valid", _INVALID) from None


def _is_canonical(segment: str) -> bool:
    """Whether it is the one spelling of its bytes: base64url without padding (RFC 7515 section 2), no bit left over."""
    try:
        return base64url_encode(base64url_decode(segment)).decode() == segment
    except ValueError:
        return False


def _kid(encoded: str) -> str | None:
    """The key that the JWT's header asks for. Raises Unauthorized where it cannot be read, or no key could be good."""
    try:
        header = jwt.get_unverified_header(encoded)
    # Parsed before any signature is checked: of any kind and any depth. PyJWT refuses a `crit` that it does not
    # understand (RFC 7515 section 4.1.11).
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthorized("the JWT is not valid", _INVALID) from None
    # Not trusted, but for this: no key need be asked for.
    if header.get("alg") not in ALGORITHMS:
        raise Unauthorized("the JWT is not valid", _INVALID)
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None
