"""`GET /v1/orders/poll`: the same events for clients that cannot hold a stream, as conditional requests.

`ETag` is the cursor; `If-None-Match` asks for what comes after it and is held until there is something (RFC 9110
section 13.1.2, with a wait as in RFC 7240).
"""

import asyncio
import random
from collections.abc import Sequence

from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.core.conditional import ANY, entity_tags, preferred_wait_s
from orderstream.core.cursor import Cursor, parse_cursor
from orderstream.core.delivery import Item, Live, Reset, SnapshotEnd, SnapshotPart
from orderstream.core.events import Event
from orderstream.errors import Unavailable
from orderstream.hub import Subscriber
from orderstream.ports import Meter
from orderstream.web.headers import PRIVATE
from orderstream.web.limits import LIMITS
from orderstream.web.seats import AUTHENTICATOR, HUB, METER, POLL_SETTINGS, SESSIONS
from orderstream.web.sessions import device_of

# Polls that were answered together must not come back together.
_WAIT_JITTER = 0.1


class PollOutlet:
    """An Outlet that collects one answer; `answered` gives True when there is one, False when the time is up."""

    transport = "poll"

    def __init__(self, *, hold_s: float, max_events: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._hold_s = hold_s
        self._max_events = max_events
        self._timer: asyncio.TimerHandle | None = None
        self.answered: asyncio.Future[bool] = self._loop.create_future()
        self.reset: str | None = None
        self.orders: list[bytes] = []
        self.snapshot: Cursor | None = None
        self.events: list[Event] = []
        self.more = False

    @property
    def ready(self) -> bool:
        return not self.answered.done() and len(self.events) < self._max_events and self.snapshot is None

    def send(self, items: Sequence[Item]) -> None:
        for item in items:
            match item:
                case Event():
                    self._add(item)
                case Reset(reason):
                    self.reset = reason
                    self.events.clear()
                    # 304 is no answer any more: the client would keep what it has.
                    self._stop_timer()
                case SnapshotPart(orders):
                    self.orders.extend(orders)
                case SnapshotEnd(cursor, _):
                    self.snapshot = cursor
                case Live() if self._timer is None:
                    self._timer = self._loop.call_later(self._hold_s, self._answer, False)

    def flush(self) -> None:
        # A reset alone is no answer: its snapshot follows.
        if self.snapshot is not None or (self.events and self.reset is None):
            self._answer(True)

    def fail(self, error: Unavailable) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        if self._timer is not None:
            self._answer(False)
        else:
            self.fail(Unavailable(f"this process lets nobody in: {reason}", after_ms / 1000))

    def revoke(self) -> None:
        """The session was logged out: the handler looks at the credential again, and refuses it."""
        self._answer(False)

    def close(self) -> None:
        """Called by the handler at its end."""
        self._stop_timer()
        self.answered.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _add(self, event: Event) -> None:
        if len(self.events) < self._max_events:
            self.events.append(event)
        else:
            self.more = True

    def _answer(self, full: bool) -> None:
        if not self.answered.done():
            self.answered.set_result(full)


async def poll(request: web.Request) -> web.Response:
    """Answers 200 with what is new or a snapshot, 304 when nothing came within the time."""
    identity = await request.app[AUTHENTICATOR].authenticate(request)
    limits = request.app[LIMITS]
    limits.admit_user(identity.user_id)
    # Not counted again at the end: to refuse an answer that is there would only make the client ask again.
    with limits.polling(identity.user_id):
        answer = await _poll(request, identity)
        # The seat is kept until the client took its answer, which may be a snapshot of megabytes.
        await answer.prepare(request)
        await answer.write_eof()
        return answer


async def _poll(request: web.Request, identity: Identity) -> web.Response:
    settings, meter = request.app[POLL_SETTINGS], request.app[METER]
    tags = request.headers.getall("If-None-Match", [])
    cursor = _cursor(", ".join(tags), request.app[HUB].epoch) if tags else None
    prefer = ", ".join(request.headers.getall("Prefer", []))
    applied_s, hold_s = _hold(prefer, settings.poll_wait_s, settings.poll_max_wait_s)
    outlet = PollOutlet(hold_s=0.0 if cursor == ANY else hold_s, max_events=settings.poll_max_events)
    subscriber = request.app[HUB].subscribe(identity.user_id, None if cursor == ANY else cursor, outlet)
    meter.opened(outlet.transport)
    sessions, outcome = request.app[SESSIONS], "client-gone"
    known: Cursor | None = None
    polling = sessions.begin_poll(identity, device_of(request), outlet)
    try:
        subscriber.pump()
        full = await outlet.answered
        # Held for a while: the credential may have ended meanwhile.
        await request.app[AUTHENTICATOR].authenticate(request)
        headers = {"Preference-Applied": f"wait={applied_s}"} if applied_s is not None else {}
        if cursor == ANY or not full:
            outcome = "not-modified"
            known = _known(subscriber, outlet)
            return _not_modified(known, headers)
        outcome = "reset" if outlet.reset else "snapshot" if outlet.snapshot else "events"
        known, answer = _full(subscriber, outlet, headers, meter)
        return answer
    except Unavailable:
        outcome = "unavailable"
        raise
    finally:
        sessions.end_poll(polling, outlet, known)
        outlet.close()
        subscriber.close()
        meter.closed(outlet.transport, outcome)
        meter.polled(outcome)


def _cursor(header: str, epoch: str) -> str:
    """The newest cursor of the epoch in force among the tags, the star, or a tag that is none, which gets a reset."""
    tags = entity_tags(header)
    cursors = [cursor for cursor in map(parse_cursor, tags) if cursor is not None]
    return str(max(cursors, key=lambda cursor: (cursor.epoch == epoch, cursor.seq))) if cursors else tags[0]


def _hold(prefer: str, default_s: float, most_s: float) -> tuple[int | None, float]:
    """The seconds that Preference-Applied names, if any, and how long to hold."""
    wished_s = preferred_wait_s(prefer)
    if wished_s is None:
        return None, default_s * random.uniform(1 - _WAIT_JITTER, 1)
    applied_s = min(wished_s, int(most_s))
    return applied_s, applied_s * random.uniform(1 - _WAIT_JITTER, 1)


def _known(subscriber: Subscriber, outlet: PollOutlet) -> Cursor:
    return outlet.snapshot or subscriber.delivery.known or subscriber.channel.log.cursor


def _headers(cursor: Cursor, more: dict[str, str]) -> dict[str, str]:
    return {
        "ETag": f'W/"{cursor}"',
        **PRIVATE,
        **more,
    }


def _not_modified(cursor: Cursor, headers: dict[str, str]) -> web.Response:
    return web.Response(status=304, headers=_headers(cursor, headers))


def _full(
    subscriber: Subscriber, outlet: PollOutlet, headers: dict[str, str], meter: Meter
) -> tuple[Cursor, web.Response]:
    if outlet.snapshot is not None:
        cursor = outlet.snapshot
        reset = b'"reset":"%b",' % outlet.reset.encode() if outlet.reset else b""
        body = b'{%b"cursor":"%b","orders":[%b],"executions":[]}' % (
            reset,
            str(cursor).encode(),
            b",".join(outlet.orders),
        )
    else:
        last = outlet.events[-1]
        cursor = Cursor(last.epoch, last.seq)
        more = outlet.more or last.seq < subscriber.channel.log.head
        body = b'{"cursor":"%b","events":[%b],"more":%b}' % (
            str(cursor).encode(),
            b",".join([event.document for event in outlet.events]),
            b"true" if more else b"false",
        )
    meter.sent(outlet.transport, outlet.events, len(body))
    return cursor, web.Response(body=body, content_type="application/json", headers=_headers(cursor, headers))
