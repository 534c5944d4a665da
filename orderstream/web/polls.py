"""A poll, however its connection is held: when it is answered, with what, and all that is to be done when it is over.

    OVER       none is under way
    BEGUN      it has a seat; neither subscribed nor among the open deliveries yet
    LOADING    what it asks for is being read: its channel, a snapshot, older events
    WAITING    it knows all that there is
    DUE        the same, and it is not to wait

`begin` begins one. `_settle` ends it, once, and gives its answer: there is something, the time is up, its session
ended, or the process is stopped. `leave` ends it without, where its client left before.
"""

import enum
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiohttp import web

from orderstream.channel import Subscriber
from orderstream.core.answer import Answer
from orderstream.core.claims import Identity
from orderstream.core.conditional import ANY
from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Item, Live, Reset
from orderstream.core.devices import Device
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


class Asked(NamedTuple):
    """Who asks, and from where. `applied_s` is for how long it is held, as Preference-Applied says it; None where the
    client has no preference."""

    identity: Identity
    device: Device
    address: str
    applied_s: int | None


class Phase(enum.Enum):
    OVER = "over"
    BEGUN = "begun"
    LOADING = "loading"
    WAITING = "waiting"
    DUE = "due"


class Poll(ABC):
    """An Outlet that collects one answer, and then gives it."""

    __slots__ = (
        *("_applied_s", "_collected", "_identity", "_phase"),
        *("_poller", "_shared", "_subscriber"),
    )

    transport = "poll"

    _subscriber: Subscriber | None
    # One that waits has none.
    _collected: Answer | None

    def __init__(self, shared: Polls, asked: Asked) -> None:
        self._shared = shared
        self._identity = asked.identity
        self._poller = Poller(asked.identity, asked.device)
        self._applied_s = asked.applied_s
        self._clear()

    @property
    def user_id(self) -> str:
        return self._identity.user_id

    def begin(self, cursor: str | None) -> None:
        """Asks for what follows the cursor: None for a snapshot, the star for the tag alone."""
        self._phase = Phase.BEGUN
        shared = self._shared
        if cursor == ANY:
            cursor, self._collected = None, Answer(shared.settings.poll_max_events, tag_alone=True)
        shared.meter.opened(self.transport)
        try:
            self._subscriber = shared.hub.subscribe(self.user_id, cursor, self)
        except Unavailable as error:
            self.fail(error)
            return
        self._poller = shared.sessions.begin_poll(self._poller, self)
        self._phase = Phase.LOADING
        if shared.sessions.is_revoked(self._identity):
            self._settle(full=False)
        else:
            self._subscriber.pump()

    # An Outlet

    @property
    def ready(self) -> bool:
        return self._phase is not Phase.OVER and (self._collected is None or not self._collected.is_full)

    def send(self, items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Live):
                self._caught_up()
                continue
            if self._collected is None:
                self._collected = Answer(self._shared.settings.poll_max_events)
            self._collected.add(item)
            if isinstance(item, Reset):
                # 304 is no answer any more: the client would keep what it has.
                self._phase = Phase.LOADING
                self._hold(None)

    def flush(self) -> None:
        if self._collected is not None and self._collected.is_whole:
            self._settle(full=True)
        elif self._phase is Phase.DUE:
            self._settle(full=False)

    def fail(self, error: Unavailable) -> None:
        if self._phase is not Phase.OVER:
            self._phase = Phase.OVER
            self._refuse(error, "unavailable")

    def goaway(self, reason: str, *, reconnect: bool, after_ms: int) -> None:
        if self._phase is Phase.WAITING:
            self._settle(full=False)
        else:
            self.fail(Unavailable(f"this process lets nobody in: {reason}", after_ms / 1000))

    def revoke(self) -> None:
        """The session was logged out: its answer is a refusal."""
        # Told while it is being entered, `begin` sees it next.
        if self._phase is not Phase.BEGUN:
            self._settle(full=False)

    def leave(self) -> None:
        """Nobody waits for an answer any more; it may have been given."""
        if self._subscriber is not None:
            self._phase = Phase.OVER
            self._over("client-gone", None)

    # For those who hold it

    @abstractmethod
    def _hold(self, seconds: float | None) -> None:
        """Calls `_settle(full=False)` after so long (None: never), unless it is called otherwise or told again."""

    @abstractmethod
    def _give(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Called once for each `begin`, but not after `leave`."""

    def _settle(self, *, full: bool) -> None:
        """There is an answer, or none and the time is up. It was held for a while: its JWT may not be good any more."""
        if self._phase is Phase.OVER:
            return
        self._phase = Phase.OVER
        try:
            self._shared.authenticator.look_again(self._identity)
        except RequestError as error:
            self._refuse(error, "refused")
        else:
            self._answer(full)

    def _answer(self, full: bool) -> None:
        subscriber, collected, headers = self._subscriber, self._collected, dict(PRIVATE)
        assert subscriber is not None
        if self._applied_s is not None:
            headers["Preference-Applied"] = f"wait={self._applied_s}"
        if collected is None or collected.is_tag_alone or not full:
            cursor = (collected and collected.snapshot) or subscriber.known or subscriber.channel.cursor
            self._over("not-modified", cursor)
            self._give(304, {"ETag": f'W/"{cursor}"', **headers}, b"")
            return
        cursor, body = collected.cursor, collected.body(subscriber.channel.head)
        self._shared.meter.sent(self.transport, collected.events, len(body))
        self._over(collected.outcome, cursor)
        self._give(200, {"ETag": f'W/"{cursor}"', **headers, **_JSON}, body)

    def _caught_up(self) -> None:
        """It knows all that there is, and waits for more, unless it already does."""
        if self._phase is not Phase.LOADING:
            return
        most_s = self._shared.settings.poll_wait_s if self._applied_s is None else self._applied_s
        hold_s = _held_s(most_s)
        self._phase = Phase.WAITING if hold_s else Phase.DUE
        if hold_s:
            self._hold(hold_s)

    def _refuse(self, error: RequestError | Unavailable, outcome: str) -> None:
        self._over(outcome, None)
        refusal = of_error(error)
        assert isinstance(refusal.body, bytes)
        self._give(refusal.status, refusal.headers, refusal.body)

    def _over(self, outcome: str, cursor: Cursor | None) -> None:
        """All that is to be done when a poll is over, but for its answer; `cursor` is the one that it answers."""
        shared = self._shared
        self._hold(None)
        # It was entered as soon as it was subscribed.
        if self._subscriber is not None:
            shared.sessions.end_poll(self._poller, self, cursor)
            self._subscriber.close()
        shared.meter.closed(self.transport, outcome)
        shared.meter.polled(outcome)
        self._clear()

    def _clear(self) -> None:
        self._phase = Phase.OVER
        self._subscriber = self._collected = None


def _held_s(most_s: float) -> float:
    """Up to a tenth shorter; an alarm may be a tick late, and a whole second is not exceeded by that."""
    least_s = most_s * (1 - _WAIT_JITTER)
    return random.uniform(least_s, max(least_s, most_s - TICK_S))


def response(status: int, headers: Mapping[str, str], body: bytes) -> web.Response:
    """An answer, for aiohttp to give."""
    return web.Response(status=status, headers=headers, body=body or None)
