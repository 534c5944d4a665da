"""A poll, however its connection is held: what it collects for its one answer, what it answers, and all that is to be
done when it is over.

    begun by       `begin`, once it has a seat
    answered by    `_settle`, once: there is something, the time is up, its session ended, or the process is stopped
    over           with its answer, or with `leave`, where its client left before
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiohttp import web

from orderstream.channel import Subscriber
from orderstream.core.claims import Identity
from orderstream.core.conditional import ANY
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item, Live, Reset, SnapshotEnd, SnapshotPart
from orderstream.core.devices import Device
from orderstream.core.events import Event
from orderstream.errors import RequestError, Unavailable
from orderstream.hub import Hub
from orderstream.ports import Meter
from orderstream.sessions import Poller, Sessions
from orderstream.web.alarms import TICK_S, Alarms
from orderstream.web.headers import PRIVATE
from orderstream.web.identity import Authenticator
from orderstream.web.limits import Limits
from orderstream.web.problems import of_error
from orderstream.web.seats import PollSettings

# Polls that were answered together must not come back together.
_WAIT_JITTER = 0.1
_JSON = {"Content-Type": "application/json"}


class Polls(NamedTuple):
    """What the polls of an application share; `alarms` and `heads` are for `held`."""

    hub: Hub
    meter: Meter
    limits: Limits
    sessions: Sessions
    authenticator: Authenticator
    settings: PollSettings
    alarms: Alarms
    heads: dict[str, str]


POLLS: web.AppKey[Polls] = web.AppKey("polls", Polls)


class Asker(NamedTuple):
    """Who asks, and what stays the same when they ask again: their credential's fingerprint, the seconds that
    Preference-Applied names (None: no such header), and how long to hold."""

    identity: Identity
    known_by: bytes
    device: Device
    applied_s: int | None
    hold_s: float


class Poll(ABC):
    """An Outlet that collects one answer, and then gives it."""

    __slots__ = (
        *("_any", "_asker", "_events", "_live", "_more", "_orders", "_poller", "_reset", "_settled"),
        *("_shared", "_snapshot", "_subscriber", "_time_is_up"),
    )

    transport = "poll"

    _subscriber: Subscriber | None
    _poller: Poller | None
    _reset: str | None
    _snapshot: Cursor | None
    # One that waits has none, and then no lists take memory.
    _orders: Sequence[bytes]
    _events: list[Event] | tuple[()]

    def __init__(self, shared: Polls, asker: Asker) -> None:
        self._shared = shared
        self._asker = asker
        self._clear()

    @property
    def user_id(self) -> str:
        return self._asker.identity.user_id

    def begin(self, cursor: str | None) -> None:
        """Asks for what follows the cursor: None for a snapshot, the star for the tag alone."""
        self._settled = False
        self._any = cursor == ANY
        shared, identity = self._shared, self._asker.identity
        shared.meter.opened(self.transport)
        try:
            self._subscriber = shared.hub.subscribe(identity.user_id, None if self._any else cursor, self)
        except Unavailable as error:
            self.fail(error)
            return
        self._poller = shared.sessions.begin_poll(identity, self._asker.device, self)
        if shared.sessions.is_revoked(identity):
            self._settle(full=False)
        else:
            self._subscriber.pump()

    # An Outlet

    @property
    def ready(self) -> bool:
        most = self._shared.settings.poll_max_events
        return not self._settled and len(self._events) < most and self._snapshot is None

    def send(self, items: Sequence[Item]) -> None:
        for item in items:
            match item:
                case Event():
                    self._add(item)
                case Reset(reason):
                    self._reset = reason
                    self._events = ()
                    # 304 is no answer any more: the client would keep what it has.
                    self._live = self._time_is_up = False
                    self._hold(None)
                case SnapshotPart(orders):
                    self._orders = [*self._orders, *orders]
                case SnapshotEnd(cursor, _):
                    self._snapshot = cursor
                case Live() if not self._live and self._reset is None:
                    self._live = True
                    hold_s = 0.0 if self._any else _held_s(self._asker.hold_s)
                    self._time_is_up = hold_s == 0
                    if hold_s:
                        self._hold(hold_s)

    def flush(self) -> None:
        # A reset alone is no answer: its snapshot follows.
        if self._snapshot is not None or (self._events and self._reset is None):
            self._settle(full=True)
        elif self._time_is_up:
            self._settle(full=False)

    def fail(self, error: Unavailable) -> None:
        if not self._settled:
            self._settled = True
            self._refuse(error, "unavailable")

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        if self._live:
            self._settle(full=False)
        else:
            self.fail(Unavailable(f"this process lets nobody in: {reason}", after_ms / 1000))

    def revoke(self) -> None:
        """The session was logged out: its answer is a refusal."""
        # Told while it is being entered, `begin` sees it next.
        if self._poller is not None:
            self._settle(full=False)

    def leave(self) -> None:
        """Nobody waits for an answer any more; it may have been given."""
        if self._subscriber is not None:
            self._settled = True
            self._over("client-gone", None)

    # For those who hold it

    @abstractmethod
    def _hold(self, seconds: float | None) -> None:
        """Calls `_settle(full=False)` after so long (None: never), unless it is called otherwise or told again."""

    @abstractmethod
    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Called once for each `begin`, but not after `leave`."""

    def _settle(self, *, full: bool) -> None:
        """There is an answer, or none and the time is up. It was held for a while: its JWT may not be good any more."""
        if self._settled:
            return
        self._settled = True
        try:
            self._shared.authenticator.look_again(self._asker.identity)
        except RequestError as error:
            self._refuse(error, "refused")
        else:
            self._give(full)

    def _give(self, full: bool) -> None:
        assert self._subscriber is not None
        applied_s, subscriber = self._asker.applied_s, self._subscriber
        applied = {"Preference-Applied": f"wait={applied_s}"} if applied_s is not None else {}
        if self._any or not full:
            cursor = self._snapshot or subscriber.known or subscriber.channel.cursor
            self._over("not-modified", cursor)
            self._answer(304, {"ETag": f'W/"{cursor}"', **PRIVATE, **applied}, b"")
            return
        outcome = "reset" if self._reset else "snapshot" if self._snapshot else "events"
        cursor, body = self._body(subscriber.channel.head)
        self._shared.meter.sent(self.transport, self._events, len(body))
        self._over(outcome, cursor)
        self._answer(200, {"ETag": f'W/"{cursor}"', **PRIVATE, **applied, **_JSON}, body)

    def _body(self, head: int) -> tuple[Cursor, bytes]:
        if self._snapshot is not None:
            cursor = self._snapshot
            reset = b'"reset":"%b",' % self._reset.encode() if self._reset else b""
            orders = b",".join(self._orders)
            return cursor, b'{%b"cursor":"%b","orders":[%b],"executions":[]}' % (reset, str(cursor).encode(), orders)
        events = list(self._events)
        last = events[-1]
        cursor = Cursor(last.epoch, last.seq)
        documents = b",".join([event.document for event in events])
        more = b"true" if self._more or last.seq < head else b"false"
        return cursor, b'{"cursor":"%b","events":[%b],"more":%b}' % (str(cursor).encode(), documents, more)

    def _refuse(self, error: RequestError | Unavailable, outcome: str) -> None:
        self._over(outcome, None)
        refusal = of_error(error)
        assert isinstance(refusal.body, bytes)
        self._answer(refusal.status, refusal.headers, refusal.body)

    def _over(self, outcome: str, cursor: Cursor | None) -> None:
        """All that is to be done when a poll is over, but for its answer; `cursor` is the one that it answers."""
        shared = self._shared
        self._hold(None)
        if self._poller is not None:
            shared.sessions.end_poll(self._poller, self, cursor)
        if self._subscriber is not None:
            self._subscriber.close()
        shared.meter.closed(self.transport, outcome)
        shared.meter.polled(outcome)
        self._clear()

    def _clear(self) -> None:
        self._settled = True
        self._any = self._live = self._more = self._time_is_up = False
        self._subscriber = self._poller = self._reset = self._snapshot = None
        self._orders = self._events = ()

    def _add(self, event: Event) -> None:
        if len(self._events) < self._shared.settings.poll_max_events:
            if self._events:
                self._events.append(event)
            else:
                self._events = [event]
        else:
            self._more = True


def _held_s(most_s: float) -> float:
    """Up to a tenth shorter; an alarm may be a tick late, and a whole second is not exceeded by that."""
    least_s = most_s * (1 - _WAIT_JITTER)
    return random.uniform(least_s, max(least_s, most_s - TICK_S))


def response(status: int, headers: Mapping[str, str], body: bytes) -> web.Response:
    """An answer, for aiohttp to give."""
    return web.Response(status=status, headers=headers, body=body or None)
