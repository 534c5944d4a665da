"""What a verified JWT says of its bearer (RFC 7519): whose orders, which login, until when."""

from collections.abc import Mapping
from typing import Any

import msgspec

from orderstream.errors import Unauthorized

# Longer ones are refused rather than cut: two users, or two logins, must never become one.
MAX_ID_CHARS = 255


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The user (`sub`), the session (a login of theirs), and `expires_at` in seconds since 1970 (`exp`)."""

    user_id: str
    session_id: str
    expires_at: float


def identity(claims: Mapping[str, Any], digest: bytes) -> Identity:
    """Reads the claims of a JWT whose signature and times were verified; raises Unauthorized where one is unusable.

    The session is `sid`, else `jti`, else of the `digest` of what was signed: every login can be listed and revoked.
    """
    expires_at = claims.get("exp")
    if not isinstance(expires_at, (int, float)):
        raise Unauthorized("the JWT has no exp", "invalid_token")
    session_id = claims.get("sid") or claims.get("jti") or f"jwt-{digest.hex()[:24]}"
    return Identity(_usable("sub", claims.get("sub")), _usable("sid or jti", session_id), float(expires_at))


def _usable(claim: str, value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_ID_CHARS or not value.isprintable():
        raise Unauthorized(f"the JWT's {claim} is not a usable id", "invalid_token")
    return value
