"""An open stream: the protocol of its connection, and all that is kept of it.

While an aiohttp handler runs, its task, request, response, parser and timers stay: 20 KB, of which an idle stream needs
nothing once its response's head is out (docs/decisions/0009). So the handler in `stream` opens a stream, gives it the
connection (`Connection.hand_over`) and returns. From then on the transport calls this object, and nothing else.

    opened by      `begin`, at the end of the handler: nothing is awaited between the hand-over and its return
    written by     its subscriber (events), the wheel (heartbeats), and whoever says goaway
    ended by       `_end`, once, whatever comes first: goaway, revocation, a client that left, or one that does not read
    gone           with `connection_lost`, which may be long after the end: the last bytes are still to be taken

There is no task and no queue. What every stream needs is in `Streams`, so that each holds one reference to it; a timer
exists for those that are slow, or whose credential is about to end, and for as long as they are.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextvars import Context
from typing import NamedTuple

import structlog
from aiohttp import web

from orderstream.channel import Subscriber
from orderstream.core import frames
from orderstream.core.claims import Identity
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item
from orderstream.core.devices import Device
from orderstream.errors import Unavailable
from orderstream.hub import Hub
from orderstream.ports import Meter
from orderstream.sessions import OpenDelivery, Sessions
from orderstream.web.connection import Connections, Heir
from orderstream.web.expiry import Expiry
from orderstream.web.limits import Limits
from orderstream.web.request_ids import log_fields
from orderstream.web.seats import StreamSettings
from orderstream.web.sockets import has_unsent, reset
from orderstream.web.wheel import Wheel

_log = structlog.get_logger()

# What the transport may hold before it takes no more; asyncio's own high-water mark, at which it pauses us.
HIGH_WATER_BYTES = 65_536
# A browser waits no longer than `retry` between attempts, however many fail: less would hammer on a closed door.
LEAST_RETRY_MS = 250
# What a client may go on to send, such as a body or requests that it had pipelined; nobody reads it.
_MOST_RECEIVED_BYTES = 65_536
# A credential is looked at with every heartbeat. A timer is for one that may end before the beat after the next.
_BEATS_AHEAD = 2


class Streams(NamedTuple):
    """What the streams of an application share."""

    hub: Hub
    meter: Meter
    limits: Limits
    sessions: Sessions
    settings: StreamSettings
    wheel: Wheel


STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)


class SlimStream(Heir, OpenDelivery):
    """A protocol, an Outlet, what hangs on the wheel, and its own entry among the open deliveries."""

    __slots__ = (
        *("_connections", "_deadline", "_ended", "_expiry", "_received_bytes", "_request_id"),
        *("_shared", "_subscriber", "_trace_id", "_transport", "_unsent", "ready"),
    )

    transport = "sse"

    def __init__(
        self, shared: Streams, identity: Identity, device: Device, request_id: str, trace_id: str | None
    ) -> None:
        """The names are those of the request, for the line that is logged at the end."""
        super().__init__(identity, device)
        self._shared = shared
        self._request_id = request_id
        self._trace_id = trace_id
        self._subscriber: Subscriber | None = None
        self._expiry: Expiry | None = None
        # While it runs, the client is to take what waits for it.
        self._deadline: asyncio.TimerHandle | None = None
        # Until `flush`.
        self._unsent = b""
        self._received_bytes = 0
        self._ended = False
        # Whether it takes more now: not too much at once, nor while the client does not take it.
        self.ready = True

    # Opening

    def handed(self, transport: asyncio.Transport, connections: Connections) -> None:
        """Called by `Connection.hand_over`, in place of `connection_made`."""
        self._transport = transport
        self._connections = connections

    def begin(self, cursor: str | None) -> None:
        """Once the connection was handed over; ends the stream where it may not be."""
        shared, user_id = self._shared, self.identity.user_id
        shared.meter.opened(self.transport)
        self._tell("stream-opened", cursor=_shown(cursor))
        shared.sessions.open_stream(self)
        if self._ended:
            # Its session was ended meanwhile.
            return
        shared.limits.seat_stream(user_id, self)
        try:
            self._subscriber = shared.hub.subscribe_stream(user_id, cursor, self)
        except Unavailable as error:
            self.fail(error)
            return
        self._subscriber.pump()
        self._watch_credential()
        shared.wheel.add(self)

    # An Outlet

    def send(self, items: Sequence[Item]) -> None:
        frames = items[0].frame if len(items) == 1 else b"".join([item.frame for item in items])
        self._unsent += frames
        if len(self._unsent) >= HIGH_WATER_BYTES:
            self.ready = False
        self._shared.meter.sent(self.transport, items, len(frames))

    def flush(self) -> None:
        frames, self._unsent = self._unsent, b""
        if not frames:
            return
        self.write(frames)
        if len(frames) >= HIGH_WATER_BYTES and self._deadline is None and not self._ended:
            # More was held back, and the kernel took all of this at once: nobody else would call.
            self.ready = True
            asyncio.get_running_loop().call_soon(self._pump, context=Context())

    def write(self, frames: bytes) -> None:
        if not self._ended and not self._transport.is_closing():
            self._transport.write(frames)

    def fail(self, error: Unavailable) -> None:
        after_ms = int(error.retry_after_s * 1000 * random.uniform(0.5, 1.5))
        self.goaway("overload", reconnect=True, after_ms=after_ms)

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        self.write(farewell(reason, reconnect=reconnect, after_ms=after_ms))
        self._end(reason)

    # An open delivery

    @property
    def cursor(self) -> Cursor | None:
        """The last that was sent, or what the client said that it knows."""
        return None if self._subscriber is None else self._subscriber.known

    def revoke(self) -> None:
        """The session was logged out."""
        if self._ended:
            return
        if self._subscriber is not None and has_unsent(self._transport):
            # What a slow client has not taken yet must not reach it any more.
            reset(self._transport)
            self._end("session-revoked")
        else:
            self.goaway("session-revoked", reconnect=False, after_ms=0)

    # On the wheel

    def beat(self, at: bytes) -> bool:
        if self._ended or self._subscriber is None:
            return False
        if self._deadline is None and (head := self._subscriber.head) is not None:
            self.write(frames.heartbeat_frame(head, at))
        self._watch_credential()
        return not self._ended

    # A protocol

    def data_received(self, data: bytes) -> None:
        """The answer said `Connection: close`: no more requests are processed (RFC 9112 section 9.6)."""
        self._received_bytes += len(data)
        if self._received_bytes > _MOST_RECEIVED_BYTES:
            self._transport.abort()
            self._end("too-many-bytes")

    def pause_writing(self) -> None:
        """The transport holds more than it should: the client has `send_timeout_s` to take it, or is cut off."""
        if not self._ended and self._deadline is None:
            self.ready = False
            self._shared.meter.slowed()
            self._set_deadline()

    def resume_writing(self) -> None:
        if not self._ended and self._deadline is not None:
            self._caught_up()
            self.ready = True
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("client-gone")
        if self._deadline is not None:
            self._deadline.cancel()
        self._connections.discard(self)
        # The wheel still holds us, until our next beat would be due.
        del self._transport

    def retire(self) -> None:
        """There is no next request on it; a stream is ended by its goaway."""

    def abort(self) -> None:
        """Whatever it waits for: it is over."""
        self._transport.abort()
        self._end("aborted")

    def _pump(self) -> None:
        if self._subscriber is not None:
            self._subscriber.pump()

    def _set_deadline(self) -> None:
        send_timeout_s = self._shared.settings.send_timeout_s
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(send_timeout_s, self._cut_off, context=Context())

    def _caught_up(self) -> None:
        assert self._deadline is not None
        self._deadline.cancel()
        self._deadline = None
        self._shared.meter.caught_up()

    def _cut_off(self) -> None:
        # A close would wait for the client to take the rest.
        reset(self._transport)
        self._end("slow-consumer")

    def _watch_credential(self) -> None:
        settings, expires_at = self._shared.settings, self.identity.expires_at
        ahead_s = settings.auth_expiring_s + _BEATS_AHEAD * settings.heartbeat_s
        if self._expiry is None and expires_at - time.time() < ahead_s:
            self._expiry = Expiry(
                announce_s=settings.auth_expiring_s,
                leeway_s=settings.jwt_leeway_s,
                expiring=lambda left_s: self.write(frames.auth_expiring_frame(int(left_s))),
                expired=lambda: self.goaway("auth-expired", reconnect=True, after_ms=0),
            )
            self._expiry.renew(expires_at)

    def _end(self, reason: str) -> None:
        """All that is to be done when a stream is over; the connection closes when the client took what was written."""
        if self._ended:
            return
        known = self.cursor
        self._ended, self.ready = True, False
        shared = self._shared
        if self._deadline is not None:
            self._caught_up()
        if self._expiry is not None:
            self._expiry.cancel()
        if self._subscriber is not None:
            self._subscriber.close()
        shared.limits.leave_stream(self.identity.user_id, self)
        shared.sessions.close(self)
        shared.meter.closed(self.transport, reason)
        open_s = round(time.time() - self.opened_at, 3)
        self._tell("stream-closed", cursor=str(known) if known else None, open_s=open_s, reason=reason)
        # Each refers to us, too.
        self._subscriber = self._expiry = None
        self._unsent = b""
        if not self._transport.is_closing():
            self._set_deadline()
            self._transport.close()

    def _tell(self, event: str, **fields: object) -> None:
        """In nobody's context: the request that opened the stream is over, and another's may be what ends it."""
        identity, names = self.identity, log_fields(self._request_id, self._trace_id)
        who = {"user_id": identity.user_id, "session_id": identity.session_id, "transport": self.transport}
        Context().run(lambda: _log.info(event, **names, **who, **fields))


def farewell(reason: str, *, reconnect: bool, after_ms: int) -> bytes:
    """`goaway`, after which the stream ends. An EventSource knows only `retry`, so that says it too."""
    retry = frames.retry_frame(max(LEAST_RETRY_MS, after_ms))
    return retry + frames.goaway_frame(reason, reconnect=reconnect, after_ms=after_ms)


def _shown(cursor: str | None) -> str | None:
    """As much of a client's cursor as a log line may hold."""
    return cursor if cursor is None else cursor[:40]
