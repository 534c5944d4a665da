"""What a verified JWT says of its bearer (RFC 7519): whose orders, which login, until when."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from orderstream.errors import Unauthorized

# Longer ones are refused rather than cut: two users must never become one.
MAX_USER_ID_CHARS = 255


class Identity(NamedTuple):
    """The user (`sub`), the session (`sid`, else `jti`, else none), and `expires_at` in seconds since 1970 (`exp`)."""

    user_id: str
    session_id: str | None
    expires_at: float


def identity(claims: Mapping[str, Any]) -> Identity:
    """Reads the claims of a JWT whose signature and times were verified; raises Unauthorized where one is unusable."""
    user_id = claims.get("sub")
    if not isinstance(user_id, str) or not user_id or len(user_id) > MAX_USER_ID_CHARS or not user_id.isprintable():
        raise Unauthorized("the JWT's sub is not a usable user id", "invalid_token")
    expires_at = claims.get("exp")
    if not isinstance(expires_at, (int, float)):
        raise Unauthorized("the JWT has no exp", "invalid_token")
    session_id = claims.get("sid") or claims.get("jti")
    return Identity(user_id, str(session_id) if session_id else None, float(expires_at))
