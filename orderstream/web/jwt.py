"""JWTs, HS256: verified for every request, issued for development only.

What the claims then mean, and which user ids are refused, is `core.claims`.
"""

import time
from typing import Any

import jwt

from orderstream.errors import Unauthorized

# Fixed here and never taken from the header of the JWT, which whoever forges one writes (RFC 8725, 3.1).
ALGORITHM = "HS256"

_INVALID = "invalid_token"  # RFC 6750, 3.1

# Audience is another matter than signature and time; unchecked, PyJWT would refuse every JWT that names one.
_OPTIONS: Any = {"require": ["exp", "sub"], "verify_aud": False}


class ExpiredJwt(Unauthorized):
    """A JWT of ours whose time is over: on a stream that is `goaway auth-expired` rather than 401."""


def issue(secret: str, user_id: str, expires_s: float) -> str:
    """A JWT for `user_id`, good for `expires_s` seconds from now; for development and tests."""
    now_s = time.time()
    return jwt.encode({"sub": user_id, "iat": int(now_s), "exp": int(now_s + expires_s)}, secret, ALGORITHM)


def verify(encoded: str, secret: str, leeway_s: float) -> dict[str, Any]:
    """The claims of a JWT signed with `secret` and in force, with `exp` (epoch seconds) and `sub` among them.

    `leeway_s` forgives clocks that differ. Raises ExpiredJwt, or Unauthorized with what is wrong.
    """
    try:
        return jwt.decode(encoded, secret, algorithms=[ALGORITHM], leeway=leeway_s, options=_OPTIONS)
    except jwt.ExpiredSignatureError:
        raise ExpiredJwt("the JWT has expired", _INVALID) from None
    except jwt.MissingRequiredClaimError as error:
        raise Unauthorized(f"the JWT lacks the claim {error.claim}", _INVALID) from None
    except jwt.ImmatureSignatureError:
        raise Unauthorized("the JWT is not valid yet", _INVALID) from None
    # The header is parsed before the signature is checked: what it holds may be of any kind and any depth.
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthorized("the JWT is not valid", _INVALID) from None
