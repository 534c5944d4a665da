"""Requests of one user: whoever asks is known before, and must still be let in when the answer leaves."""

from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.web.seats import AUTHENTICATOR


def for_user(
    handler: Callable[[web.Request, Identity], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that is given who asks. While it waited, a session may have been ended or a JWT expired: its answer is
    a refusal then, since what is written to a socket cannot be taken back."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.Response:
        authenticate = request.app[AUTHENTICATOR].authenticate
        response = await handler(request, await authenticate(request))
        await authenticate(request)
        return response

    return answer
