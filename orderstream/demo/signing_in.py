"""The demo's sign-in, a stand-in for a platform's login service: whoever says a name of the crowd's is believed.

Each login is a session of its own (`sid`), and keeps it when its JWT is renewed. The JWT is in a cookie that no script
can read, and that no other site's page can send.
"""

import time
from secrets import token_hex
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.errors import InvalidParameter, Unauthorized
from orderstream.web import jwt
from orderstream.web.limits import LIMITS
from orderstream.web.seats import AUTHENTICATOR, SESSION_STORE

from .crowd import NAMES

T = TypeVar("T")

JWT_EXPIRES_S = 3600.0

_SECRET: web.AppKey[str] = web.AppKey("demo_jwt_secret", str)
_EXPIRES_S: web.AppKey[float] = web.AppKey("demo_jwt_expires_s", float)
NO_STORE = {"Cache-Control": "private, no-store", "Vary": "Authorization, Cookie, Origin"}


class SignIn(msgspec.Struct, frozen=True):
    user: str


def add_to(app: web.Application, jwt_secret: str, expires_s: float = JWT_EXPIRES_S) -> None:
    """`/demo/session`: who is signed in, sign in, renew, sign out."""
    app[_SECRET] = jwt_secret
    app[_EXPIRES_S] = expires_s
    app.add_routes(
        [
            web.get("/demo/session", session, allow_head=False),
            web.post("/demo/session", sign_in),
            web.put("/demo/session", renew),
            web.delete("/demo/session", sign_out),
        ]
    )


async def identify(request: web.Request) -> Identity:
    """Who asks, as the service sees it; raises what its own resources raise."""
    identity = await request.app[AUTHENTICATOR].authenticate(request)
    request.app[LIMITS].admit_user(identity.user_id)
    return identity


async def body_of(request: web.Request, kind: type[T]) -> T:
    """Raises InvalidParameter. Only JSON: a form of another site's page cannot send that without asking first."""
    if request.content_type != "application/json":
        raise InvalidParameter("send application/json")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidParameter("the body is not what this resource takes") from None


async def session(request: web.Request) -> web.Response:
    """The user who is signed in, if any, and the names that can be."""
    try:
        identity = await identify(request)
    except Unauthorized:
        return _json({"user": None, "users": NAMES})
    expires_in_s = max(0.0, identity.expires_at - time.time())
    known = {"user": identity.user_id, "session": identity.session_id, "expires_in_s": expires_in_s}
    return _json({**known, "users": NAMES})


async def sign_in(request: web.Request) -> web.Response:
    """201 and the cookie."""
    user = (await body_of(request, SignIn)).user
    if user not in NAMES:
        raise InvalidParameter("user must be one of the demo's")
    return _with_cookie(request, user, token_hex(8), 201)


async def renew(request: web.Request) -> web.Response:
    """The same login, for another while."""
    identity = await identify(request)
    return _with_cookie(request, identity.user_id, identity.session_id, 200)


async def sign_out(request: web.Request) -> web.Response:
    """Ends the session, so that its cookie is of no use to anybody, and takes the cookie away."""
    answer = web.Response(status=204, headers=NO_STORE)
    answer.del_cookie(request.app[AUTHENTICATOR].jwt_cookie, path="/", httponly=True, samesite="Strict")
    try:
        identity = await identify(request)
    except Unauthorized:
        return answer
    await request.app[SESSION_STORE].revoke(identity, identity.session_id)
    return answer


def _with_cookie(request: web.Request, user: str, session_id: str, status: int) -> web.Response:
    expires_s = request.app[_EXPIRES_S]
    answer = _json({"user": user, "session": session_id, "expires_in_s": expires_s}, status)
    answer.set_cookie(
        request.app[AUTHENTICATOR].jwt_cookie,
        jwt.issue(request.app[_SECRET], user, expires_s, session_id),
        max_age=int(expires_s),
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )
    return answer


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json", headers=NO_STORE
    )
