"""Which deliveries are open in this process, per user and session, and which sessions were ended by hand.

Bookkeeping without I/O. A session is a login (`core.claims`); a delivery is an open stream, or a device that polls.
What is to be told to the other processes is kept as marks, one a delivery, and taken in batches: opening or closing
never waits for it, and however long the database is away, no more is held than is open or was written.

An ended session never starts again here: it is first entered, then its deliveries are revoked, and `open_stream` and
`begin_poll` look after they have entered theirs. On one event loop nothing comes between.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from orderstream.core.claims import Identity
from orderstream.core.cursor import Cursor
from orderstream.core.devices import Device

SessionKey = tuple[str, str]  # user_id, session_id


class Held(Protocol):
    """A stream, or a poll that is held."""

    def revoke(self) -> None:
        """The session was ended by hand: MUST end it at once. It may be over already."""
        ...


class Known(Protocol):
    """Whoever knows how far a client is."""

    @property
    def cursor(self) -> Cursor | None:
        """The last that was sent."""
        ...


class Following(Held, Known, Protocol):
    """A stream."""


class Answered(NamedTuple):
    """Of a device that polls: what its last answer said."""

    cursor: Cursor | None


class ListedDelivery(NamedTuple):
    """A delivery as its user is shown it; `opened_at` in seconds since 1970, `cursor` the last that was sent."""

    session_id: str
    transport: str
    platform: str
    address: str | None
    opened_at: float
    cursor: str | None


class OpenDelivery:
    """One stream, or one device that polls: then `held` has one entry for each poll that is."""

    __slots__ = (
        *("_acknowledged", "device", "held", "identity", "idle_since", "known", "number", "opened_at"),
        *("transport", "written"),
    )

    def __init__(self, number: int, identity: Identity, device: Device, transport: str, opened_at: float) -> None:
        self.number = number
        self.identity = identity
        self.device = device
        self.transport = transport
        self.opened_at = opened_at
        self.idle_since = opened_at
        self.held: tuple[Held, ...] = ()
        self.known: Known = _NOTHING
        # What the other processes were told: not yet anything, or the cursor.
        self.written: tuple[str | None] | None = None
        self._acknowledged: Cursor | None = None

    @property
    def key(self) -> SessionKey:
        return self.identity.user_id, self.identity.session_id

    @property
    def cursor(self) -> str | None:
        known = self.known.cursor
        return None if known is None else str(known)

    def acknowledge(self, cursor: Cursor) -> bool:
        """Whether the client was sent `cursor`, and now says so of it, or of a later one, for the first time."""
        sent, before = self.known.cursor, self._acknowledged
        if sent is None or sent.epoch != cursor.epoch or sent.seq < cursor.seq:
            return False
        if before is not None and before.epoch == cursor.epoch and before.seq >= cursor.seq:
            return False
        self._acknowledged = cursor
        return True

    def listed(self) -> ListedDelivery:
        platform, address = self.device
        return ListedDelivery(self.identity.session_id, self.transport, platform, address, self.opened_at, self.cursor)


_NOTHING = Answered(None)


class Changes(NamedTuple):
    """What the other processes have not been told: deliveries to write, and numbers of those to remove."""

    opened: list[OpenDelivery]
    closed: list[int]


class Sessions:
    """The sessions of one process. `clock` gives seconds since 1970; a device is listed for `linger_s` after a poll."""

    def __init__(self, *, linger_s: float, max_polling: int, clock: Callable[[], float] = time.time) -> None:
        self._linger_s = linger_s
        self._max_polling = max_polling
        self._clock = clock
        self._numbers = 0
        self._open: dict[str, dict[int, OpenDelivery]] = {}
        self._polling: dict[tuple[SessionKey, Device], OpenDelivery] = {}
        # Those of `_polling` that hold no poll, the longest idle first.
        self._idle: dict[OpenDelivery, None] = {}
        self._revoked: dict[SessionKey, float] = {}
        self._unwritten: dict[int, OpenDelivery] = {}
        self._closed: dict[int, None] = {}
        self._in_turn: deque[OpenDelivery] = deque()

    # Deliveries

    def open_stream(self, identity: Identity, device: Device, transport: str, stream: Following) -> OpenDelivery:
        """Enters a stream; revokes it when its session is revoked, at once if it was. `close` it in any case."""
        delivery = self._enter(identity, device, transport)
        delivery.known = stream
        self._hold(delivery, stream)
        return delivery

    def begin_poll(self, identity: Identity, device: Device, poll: Held) -> OpenDelivery:
        """Enters a poll that is held now, revoked as a stream is. `end_poll` it in any case."""
        key = ((identity.user_id, identity.session_id), device)
        delivery = self._polling.get(key)
        if delivery is None:
            delivery = self._polling[key] = self._enter(identity, device, "poll")
        self._idle.pop(delivery, None)
        self._hold(delivery, poll)
        return delivery

    def end_poll(self, delivery: OpenDelivery, poll: Held, cursor: Cursor | None) -> None:
        """The poll was answered with `cursor`, or not at all (None); its device stays listed for a while."""
        delivery.held = tuple(one for one in delivery.held if one is not poll)
        if cursor is not None:
            delivery.known = Answered(cursor)
        if delivery.held:
            return
        if self.is_revoked(delivery.identity):
            self._forget_poller(delivery)
            return
        delivery.idle_since = self._clock()
        self._idle[delivery] = None
        if len(self._idle) > self._max_polling:
            self._forget_poller(next(iter(self._idle)))

    def close(self, delivery: OpenDelivery) -> None:
        """Takes it out; may be called more than once."""
        user_id, number = delivery.identity.user_id, delivery.number
        of_user = self._open.get(user_id, {})
        if of_user.pop(number, None) is None:
            return
        if not of_user:
            del self._open[user_id]
        self._unwritten.pop(number, None)
        if delivery.written is not None:
            self._closed[number] = None

    def sweep(self) -> None:
        """Forgets devices that have not polled for a while, and revocations whose time is over."""
        now = self._clock()
        while self._idle and (longest := next(iter(self._idle))).idle_since < now - self._linger_s:
            self._forget_poller(longest)
        # Entered roughly in the order of their ends: whatever is stuck behind another goes with it.
        while self._revoked and self._revoked[first := next(iter(self._revoked))] < now:
            del self._revoked[first]

    def of_user(self, user_id: str) -> list[ListedDelivery]:
        """The user's open deliveries in this process."""
        return [delivery.listed() for delivery in self._open.get(user_id, {}).values()]

    def acknowledge(self, identity: Identity, transport: str, cursor: Cursor) -> bool:
        """Whether an open delivery of the session's had been sent `cursor` and had not said so.

        So an event counts once for a delivery, and never again once a later one did, however often a client says it."""
        return any(
            delivery.acknowledge(cursor)
            for delivery in self._open.get(identity.user_id, {}).values()
            if delivery.identity.session_id == identity.session_id and delivery.transport == transport
        )

    # Revocations

    def revoke(self, user_id: str, session_id: str, kept_until: float) -> None:
        """Ends all of a session, now and until `kept_until` (seconds since 1970); past already, it is let go."""
        key = (user_id, session_id)
        self._revoked.pop(key, None)
        if kept_until <= self._clock():
            return
        self._revoked[key] = kept_until
        for delivery in [one for one in self._open.get(user_id, {}).values() if one.key == key]:
            for one in delivery.held:
                one.revoke()
            if delivery.transport == "poll":
                self._forget_poller(delivery)

    def is_revoked(self, identity: Identity) -> bool:
        """Whether the session was ended by hand."""
        return self.is_revoked_id(identity.user_id, identity.session_id)

    def is_revoked_id(self, user_id: str, session_id: str) -> bool:
        return self._revoked.get((user_id, session_id), 0.0) > self._clock()

    # What the other processes are told

    def take_changes(self, most: int) -> Changes:
        """The oldest changes that were not taken yet, at most so many of each kind."""
        opened = [self._unwritten.pop(number) for number in list(_first(self._unwritten, most))]
        closed = list(_first(self._closed, most))
        for number in closed:
            del self._closed[number]
        for delivery in opened:
            delivery.written = (delivery.cursor,)
        return Changes(opened, closed)

    def put_back(self, changes: Changes) -> None:
        """They could not be told, or it is not known whether they were."""
        self._closed.update(dict.fromkeys(changes.closed))
        self._unwritten.update({one.number: one for one in changes.opened if self._is_open(one)})

    def tell_all_again(self) -> None:
        """What was told is forgotten there."""
        self._unwritten = {number: one for of_user in self._open.values() for number, one in of_user.items()}

    def look_at_cursors(self, share: float) -> None:
        """Marks those whose cursor moved, among the next `share` (0 to 1) of all deliveries in turn.

        So the cost of looking, and of telling, is spread over the time that a told cursor may be old."""
        for _ in range(min(len(self._in_turn), int(len(self._in_turn) * share) + 1)):
            delivery = self._in_turn.popleft()
            if self._is_open(delivery):
                self._in_turn.append(delivery)
                if delivery.written is not None and delivery.written != (delivery.cursor,):
                    self._unwritten[delivery.number] = delivery

    def _enter(self, identity: Identity, device: Device, transport: str) -> OpenDelivery:
        self._numbers += 1
        delivery = OpenDelivery(self._numbers, identity, device, transport, self._clock())
        self._open.setdefault(identity.user_id, {})[delivery.number] = delivery
        self._unwritten[delivery.number] = delivery
        self._in_turn.append(delivery)
        return delivery

    def _hold(self, delivery: OpenDelivery, one: Held) -> None:
        delivery.held = (*delivery.held, one)
        if self.is_revoked(delivery.identity):
            one.revoke()

    def _forget_poller(self, delivery: OpenDelivery) -> None:
        self._idle.pop(delivery, None)
        key = (delivery.key, delivery.device)
        if self._polling.get(key) is delivery:
            del self._polling[key]
        self.close(delivery)

    def _is_open(self, delivery: OpenDelivery) -> bool:
        return delivery.number in self._open.get(delivery.identity.user_id, {})


def _first(numbers: dict[int, OpenDelivery] | dict[int, None], most: int) -> Iterator[int]:
    for count, number in enumerate(numbers):
        if count == most:
            return
        yield number
