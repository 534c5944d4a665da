"""`GET /v1/orders/stream`: a user's events as Server-Sent Events: who is let in, and the head of the answer.

What is open then is no longer aiohttp's, but a `SlimStream`.
"""

import random

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from orderstream.core import frames
from orderstream.errors import SessionRevoked, TooManyRequests, Unavailable
from orderstream.web.connection import Connection
from orderstream.web.jwt import ExpiredJwt
from orderstream.web.limits import LIMITS
from orderstream.web.problems import Handler
from orderstream.web.request_ids import request_id, trace_id
from orderstream.web.seats import AUTHENTICATOR, METER, STREAM_SETTINGS
from orderstream.web.sessions import device_of
from orderstream.web.slim import STREAMS, SlimStream, farewell
from orderstream.web.wheel import JITTER

# Before a client whose credential expired tries again with a new one.
_EXPIRED_RETRY_MS = 10_000


class EventStreamResponse(EventSourceResponse):
    """aiohttp-sse's response without its task per connection, and without a TCP_USER_TIMEOUT of its own: every
    connection has one.

    The body ends with the connection rather than in chunks, so that the bytes of an event are the same for everybody.
    """

    _length_check = False
    # The head waits for `retry`, which follows at once: one write, and one packet.
    _send_headers_immediately = False

    def __init__(self) -> None:
        super().__init__(send_timeout=None)
        self.headers["Cache-Control"] = "no-store, no-transform"
        self.headers["Connection"] = "close"
        self.headers["X-Accel-Buffering"] = "no"
        self.headers["Vary"] = "Authorization, Cookie, Origin"
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return await web.StreamResponse.prepare(self, request)


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Says on the stream itself what elsewhere is 429 or 503, at which an EventSource would give up for ever."""
    try:
        return await handler(request)
    except (TooManyRequests, Unavailable) as error:
        if request.match_info.handler is not stream or request.writer.output_size > 0:
            raise
        return await _turned_away(request, "overload", int(max(1.0, error.retry_after_s) * 1000))


async def stream(request: web.Request) -> web.StreamResponse:
    """Opens a stream, and returns: the connection is the stream's from then on."""
    limits = request.app[LIMITS]
    try:
        identity = await request.app[AUTHENTICATOR].authenticate(request, ticket=True)
    # A status other than 200 would make an EventSource give up for ever.
    except ExpiredJwt:
        return await _turned_away(request, "auth-expired", _EXPIRED_RETRY_MS)
    # And so it should: WHATWG HTML 9.2.3, "HTTP 204 No Content".
    except SessionRevoked:
        return web.Response(status=204, headers={"Cache-Control": "no-store"})
    limits.admit_user(identity.user_id)
    limits.admit_stream()
    # What the browser remembers wins over what its page knew when it was loaded.
    cursor = request.headers.get("Last-Event-ID") or request.query.get("cursor") or None
    names = (request_id(request), trace_id(request))
    opened = SlimStream(request.app[STREAMS], identity, device_of(request), *names)
    response = await _head(request)
    # From here on nothing is awaited: whoever drains, or ends the session, comes before this or finds a whole stream.
    connection = request.protocol
    assert isinstance(connection, Connection)
    connection.hand_over(opened)
    opened.begin(cursor)
    return response


async def _head(request: web.Request) -> EventStreamResponse:
    """Sends the head and `retry`: first bytes at once, whatever the database does."""
    settings = request.app[STREAM_SETTINGS]
    response = EventStreamResponse()
    await response.prepare(request)
    await response.write(frames.retry_frame(int(settings.retry_ms * random.uniform(0.5, 1.5))))
    return response


async def _turned_away(request: web.Request, reason: str, after_ms: int) -> web.StreamResponse:
    response, meter = await _head(request), request.app[METER]
    meter.opened(SlimStream.transport)
    after_ms = int(after_ms * random.uniform(1 - JITTER, 1 + JITTER))
    try:
        await response.write(farewell(reason, reconnect=True, after_ms=after_ms))
    finally:
        meter.closed(SlimStream.transport, reason)
    return response
