"""`GET /v1/orders/stream`: a user's events as Server-Sent Events.

A stream costs no task of its own while it is idle and no queue: its subscriber writes frames, encoded once, straight to
the transport. Only one whose client reads slower than we write waits in a task, for the transport to drain.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from orderstream.core import frames
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item
from orderstream.errors import SessionRevoked, TooManyRequests, Unavailable
from orderstream.hub import Hub, Subscriber
from orderstream.ports import Meter
from orderstream.web.connection import TOO_SLOW
from orderstream.web.expiry import Expiry
from orderstream.web.jwt import ExpiredJwt
from orderstream.web.limits import LIMITS
from orderstream.web.problems import Handler
from orderstream.web.seats import AUTHENTICATOR, HUB, METER, SESSIONS, STREAM_SETTINGS, WHEEL
from orderstream.web.sessions import device_of
from orderstream.web.sockets import has_unsent, reset
from orderstream.web.wheel import JITTER

_log = structlog.get_logger()

# What the transport may hold before it takes no more; asyncio's own high-water mark, at which it pauses us.
HIGH_WATER_BYTES = 65_536
# Before a client whose credential expired tries again with a new one.
_EXPIRED_RETRY_MS = 10_000
# A browser waits no longer than `retry` between attempts, however many fail: less would hammer on a closed door.
LEAST_RETRY_MS = 250


class EventStreamResponse(EventSourceResponse):
    """aiohttp-sse's response, with its TCP_USER_TIMEOUT and without its task per connection.

    The body ends with the connection rather than in chunks, so that the bytes of an event are the same for everybody.
    """

    _length_check = False

    def __init__(self, *, send_timeout_s: float) -> None:
        super().__init__(send_timeout=send_timeout_s)
        self.headers["Cache-Control"] = "no-store, no-transform"
        self.headers["Connection"] = "close"
        self.headers["X-Accel-Buffering"] = "no"
        self.headers["Vary"] = "Authorization, Cookie, Origin"
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._set_tcp_user_timeout(request)
        return await web.StreamResponse.prepare(self, request)

    async def drain(self) -> None:
        # aiohttp's own warns that its `write` waits by itself; ours go to the socket.
        assert self._payload_writer is not None
        await self._payload_writer.drain()


class StreamOutlet:
    """An Outlet on an open response."""

    transport = "sse"

    def __init__(
        self, response: EventStreamResponse, socket: asyncio.Transport, meter: Meter, *, send_timeout_s: float
    ):
        self._response = response
        self._socket = socket
        self._meter = meter
        self._send_timeout_s = send_timeout_s
        self._loop = asyncio.get_running_loop()
        self._items: list[Item] = []
        self._size_bytes = 0
        self._draining: asyncio.Task[None] | None = None
        self._blocked_since = 0.0
        self.subscriber: Subscriber | None = None
        self.closed: asyncio.Future[str] = self._loop.create_future()

    @property
    def ready(self) -> bool:
        return self._size_bytes < HIGH_WATER_BYTES and self._draining is None and not self.closed.done()

    def send(self, items: Sequence[Item]) -> None:
        self._items.extend(items)
        self._size_bytes += sum(len(item.frame) for item in items)

    def flush(self) -> None:
        if not self._items:
            return
        items, self._items = self._items, []
        size_bytes, self._size_bytes = self._size_bytes, 0
        self._write(b"".join([item.frame for item in items]))
        self._meter.sent(self.transport, items, size_bytes)
        if size_bytes >= HIGH_WATER_BYTES:
            # More was held back, and the kernel may have taken all of this at once.
            self._wait_for_room()

    def fail(self, error: Unavailable) -> None:
        after_ms = int(error.retry_after_s * 1000 * random.uniform(0.5, 1.5))
        self.goaway("overload", reconnect=True, after_ms=after_ms)

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        # An EventSource knows only `retry`, so that says it too.
        self._write(
            frames.retry_frame(max(LEAST_RETRY_MS, after_ms))
            + frames.goaway_frame(reason, reconnect=reconnect, after_ms=after_ms)
        )
        self.close(reason)

    def announce_expiry(self, left_s: float) -> None:
        """The stream's credential ends in `left_s`."""
        self._write(frames.auth_expiring_frame(int(left_s)))

    def revoke(self) -> None:
        """The session was logged out."""
        if not self._socket.is_closing() and has_unsent(self._socket):
            # What a slow client has not taken yet must not reach it any more.
            self.close("session-revoked")
            reset(self._socket)
        else:
            self.goaway("session-revoked", reconnect=False, after_ms=0)

    @property
    def cursor(self) -> Cursor | None:
        """The last that was sent, or what the client said that it knows."""
        return None if self.subscriber is None else self.subscriber.delivery.known

    def beat(self) -> bool:
        """Once per interval, on the wheel."""
        if self.closed.done():
            return False
        if self._draining is not None:
            if self._loop.time() - self._blocked_since > self._send_timeout_s:
                self._socket.abort()
                self.close("slow-consumer")
            return True
        head = self.subscriber.head if self.subscriber is not None else None
        if head is not None:
            at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            self._write(frames.heartbeat_frame(head, at))
        return True

    def close(self, reason: str) -> None:
        """Ends the stream; its handler does the rest."""
        if self.subscriber is not None:
            self.subscriber.close()
        if not self.closed.done():
            self.closed.set_result(reason)

    def stop_draining(self) -> None:
        """Called by the handler at its end."""
        if self._draining is not None:
            self._draining.cancel()

    def _write(self, chunk: bytes) -> None:
        if self.closed.done() or self._socket.is_closing():
            return
        self._socket.write(chunk)
        if self._socket.get_write_buffer_size() > HIGH_WATER_BYTES:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        if self._draining is None:
            self._blocked_since = self._loop.time()
            self._draining = asyncio.ensure_future(self._drain())
            self._meter.slowed()
            # By callback: a task that was cancelled before it began runs no code of its own.
            self._draining.add_done_callback(lambda _: self._meter.caught_up())

    async def _drain(self) -> None:
        try:
            await self._response.drain()
        except ConnectionError:
            self.close("client-gone")
            return
        finally:
            self._draining = None
        if self.subscriber is not None:
            self.subscriber.pump()


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
    """Opens a stream and stays until it ends."""
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
    response, outlet = await _open(request)
    loop = asyncio.get_running_loop()
    started = loop.time()
    reason = "client-gone"
    expiry = _expiry(request, outlet)
    log = _log.bind(user_id=identity.user_id, session_id=identity.session_id, transport=outlet.transport)
    log.info("stream-opened", cursor=_shown(cursor))
    sessions = request.app[SESSIONS]
    entered = sessions.open_stream(
        identity, device_of(request), outlet.transport, cursor=lambda: outlet.cursor, end=outlet.revoke
    )
    try:
        if not outlet.closed.done():
            limits.seat_stream(identity.user_id, outlet)
            _subscribe(request.app[HUB], identity.user_id, cursor, outlet)
        expiry.renew(identity.expires_at)
        request.app[WHEEL].add(outlet)
        reason = await outlet.closed
    except asyncio.CancelledError:
        if request.get(TOO_SLOW):
            reason = "slow-consumer"
        raise
    finally:
        limits.leave_stream(identity.user_id, outlet)
        expiry.cancel()
        outlet.close(reason)
        outlet.stop_draining()
        sessions.close(entered)
        known = outlet.cursor
        request.app[METER].closed(outlet.transport, reason)
        log.info(
            "stream-closed",
            cursor=str(known) if known else None,
            open_s=round(loop.time() - started, 3),
            reason=reason,
        )
    return response


def _subscribe(hub: Hub, user_id: str, cursor: str | None, outlet: StreamOutlet) -> None:
    try:
        outlet.subscriber = hub.subscribe(user_id, cursor, outlet)
    except Unavailable as error:
        outlet.fail(error)
    else:
        outlet.subscriber.pump()


async def _open(request: web.Request) -> tuple[EventStreamResponse, StreamOutlet]:
    """Sends the head and `retry`: first bytes at once, whatever the database does."""
    settings = request.app[STREAM_SETTINGS]
    response = EventStreamResponse(send_timeout_s=settings.send_timeout_s)
    await response.prepare(request)
    await response.write(frames.retry_frame(int(settings.retry_ms * random.uniform(0.5, 1.5))))
    socket = request.transport
    if socket is None:
        raise asyncio.CancelledError
    meter = request.app[METER]
    meter.opened(StreamOutlet.transport)
    return response, StreamOutlet(response, socket, meter, send_timeout_s=settings.send_timeout_s)


async def _turned_away(request: web.Request, reason: str, after_ms: int) -> web.StreamResponse:
    response, outlet = await _open(request)
    outlet.goaway(reason, reconnect=True, after_ms=int(after_ms * random.uniform(1 - JITTER, 1 + JITTER)))
    request.app[METER].closed(outlet.transport, reason)
    return response


def _expiry(request: web.Request, outlet: StreamOutlet) -> Expiry:
    settings = request.app[STREAM_SETTINGS]
    return Expiry(
        announce_s=settings.auth_expiring_s,
        leeway_s=settings.jwt_leeway_s,
        expiring=outlet.announce_expiry,
        expired=lambda: outlet.goaway("auth-expired", reconnect=True, after_ms=0),
    )


def _shown(cursor: str | None) -> str | None:
    """As much of a client's cursor as a log line may hold."""
    return cursor if cursor is None else cursor[:40]
