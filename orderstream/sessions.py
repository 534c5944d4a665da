"""Which deliveries are open in this process, per user and session, and which sessions were ended by hand.

Bookkeeping without I/O. A session is a login (`core.claims`); a delivery is an open stream, or a device that polls.
What is to be told to the other processes is kept as marks, one a delivery, and taken in batches: opening or closing
never waits for it, and however long the database is away, no more is held than is open or was written.

An ended session never starts again here: it is first entered, then its deliveries are revoked, and `open_stream` and
`begin_poll` look after they have entered theirs. On one event loop nothing comes between.
"""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

from orderstream.core.claims import Identity
from orderstream.core.cursor import Cursor
from orderstream.core.devices import Device
from orderstream.core.groups import Groups, joined, left, members

SessionKey = tuple[str, str]  # user_id, session_id

# What is told of a delivery without a cursor.
_NO_CURSOR = ("", 0)


class ListedDelivery(NamedTuple):
    """A delivery as its user is shown it; `opened_at` in seconds since 1970, `cursor` the last that was sent."""

    session_id: str
    transport: str
    platform: str
    address: str | None
    opened_at: float
    cursor: str | None


class OpenDelivery(ABC):
    """A stream, or a device that polls. A stream is its own entry, so that the entry takes no memory beside it."""

    __slots__ = ("_acknowledged", "_told_epoch", "_told_seq", "device", "identity", "number")

    transport: ClassVar[str]

    def __init__(self, identity: Identity, device: Device) -> None:
        self.identity = identity
        self.device = device
        # Given when it is entered: of this process alone, and in it the time, in µs since 1970.
        self.number = 0
        # The cursor that the other processes were told; no epoch if nothing yet. As its text it would take 64 bytes.
        self._told_epoch: str | None = None
        self._told_seq = 0
        self._acknowledged: Cursor | None = None

    @property
    @abstractmethod
    def cursor(self) -> Cursor | None:
        """The last that was sent."""

    @abstractmethod
    def revoke(self) -> None:
        """Its session was ended by hand: MUST end it at once. It may be over already."""

    @property
    def opened_at(self) -> float:
        """Seconds since 1970."""
        return self.number / 1e6

    @property
    def is_told(self) -> bool:
        """Whether the other processes know of it."""
        return self._told_epoch is not None

    @property
    def has_moved(self) -> bool:
        """Whether they were told of another cursor than it has now."""
        return self.is_told and (self._told_epoch, self._told_seq) != (self.cursor or _NO_CURSOR)

    def tell(self) -> None:
        """They are told as it is now."""
        self._told_epoch, self._told_seq = self.cursor or _NO_CURSOR

    @property
    def key(self) -> SessionKey:
        return self.identity.user_id, self.identity.session_id

    def acknowledge(self, cursor: Cursor) -> bool:
        """Whether the client was sent `cursor`, and now says so of it, or of a later one, for the first time."""
        sent, before = self.cursor, self._acknowledged
        if sent is None or sent.epoch != cursor.epoch or sent.seq < cursor.seq:
            return False
        if before is not None and before.epoch == cursor.epoch and before.seq >= cursor.seq:
            return False
        self._acknowledged = cursor
        return True

    def listed(self) -> ListedDelivery:
        known = self.cursor
        shown = None if known is None else str(known)
        return ListedDelivery(self.identity.session_id, self.transport, *self.device, self.opened_at, shown)


class Held(Protocol):
    """A poll that is held."""

    def revoke(self) -> None:
        """As of a delivery."""
        ...


class Poller(OpenDelivery):
    """A device that polls; its cursor is that of the last answer."""

    __slots__ = ("_answered_epoch", "_answered_seq", "_held")

    transport = "poll"

    def __init__(self, identity: Identity, device: Device) -> None:
        super().__init__(identity, device)
        self._held: Any = None
        # The cursor, in less room than as one.
        self._answered_epoch: str | None = None
        self._answered_seq = 0

    @property
    def cursor(self) -> Cursor | None:
        return None if self._answered_epoch is None else Cursor(self._answered_epoch, self._answered_seq)

    def fresh(self) -> "Poller":
        """One that was never entered, of the same device."""
        return Poller(self.identity, self.device) if self.number else self

    @property
    def is_idle(self) -> bool:
        """Whether it holds no poll."""
        return self._held is None

    def begin(self, poll: Held) -> None:
        self._held = joined(self._held, poll)

    def end(self, poll: Held, cursor: Cursor | None) -> None:
        """`cursor` is what was answered, None where nothing was."""
        self._held = left(self._held, poll)
        if cursor is not None:
            self._answered_epoch, self._answered_seq = cursor

    def revoke(self) -> None:
        for poll in members(self._held):
            poll.revoke()


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
        self._last_number = 0
        self._open: Groups[OpenDelivery] = Groups()
        # Pollers that hold no poll, and since when, the longest idle first.
        self._idle: dict[Poller, float] = {}
        self._revoked: dict[SessionKey, float] = {}
        self._unwritten: dict[int, OpenDelivery] = {}
        self._closed: dict[int, None] = {}
        self._in_turn: deque[OpenDelivery] = deque()

    # Deliveries

    def open_stream(self, stream: OpenDelivery) -> None:
        """Enters it; revokes it when its session is revoked, at once if it was. `close` it in any case."""
        self._enter(stream)
        if self.is_revoked(stream.identity):
            stream.revoke()

    def begin_poll(self, poller: Poller, poll: Held) -> Poller:
        """Enters a poll that is held now, revoked as a stream is. Gives its device's poller, which is another than the
        one that it was called with where that is a second one, or was forgotten. `end_poll` it in any case."""
        if not self._is_open(poller):
            known = self._same(poller)
            poller = known or poller.fresh()
            if known is None:
                self._enter(poller)
        self._idle.pop(poller, None)
        poller.begin(poll)
        if self.is_revoked(poller.identity):
            poll.revoke()
        return poller

    def end_poll(self, poller: Poller, poll: Held, cursor: Cursor | None) -> None:
        """The poll was answered with `cursor`, or not at all (None); its device stays listed for a while."""
        poller.end(poll, cursor)
        if not poller.is_idle:
            return
        if self.is_revoked(poller.identity):
            self._forget_poller(poller)
            return
        self._idle[poller] = self._clock()
        if len(self._idle) > self._max_polling:
            self._forget_poller(next(iter(self._idle)))

    def close(self, delivery: OpenDelivery) -> None:
        """Takes it out; may be called more than once."""
        user_id, number = delivery.identity.user_id, delivery.number
        if not self._is_open(delivery):
            return
        self._open.remove(user_id, delivery)
        self._unwritten.pop(number, None)
        if delivery.is_told:
            self._closed[number] = None

    def sweep(self) -> None:
        """Forgets devices that have not polled for a while, and revocations whose time is over."""
        now = self._clock()
        while self._idle and self._idle[longest := next(iter(self._idle))] < now - self._linger_s:
            self._forget_poller(longest)
        # Entered roughly in the order of their ends: whatever is stuck behind another goes with it.
        while self._revoked and self._revoked[first := next(iter(self._revoked))] < now:
            del self._revoked[first]

    def of_user(self, user_id: str) -> list[ListedDelivery]:
        """The user's open deliveries in this process."""
        return [delivery.listed() for delivery in self._open.of(user_id)]

    def acknowledge(self, identity: Identity, transport: str, cursor: Cursor) -> bool:
        """Whether an open delivery of the session's had been sent `cursor` and had not said so.

        So an event counts once for a delivery, and never again once a later one did, however often a client says it."""
        return any(
            delivery.acknowledge(cursor)
            for delivery in self._open.of(identity.user_id)
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
        for delivery in [one for one in self._open.of(user_id) if one.key == key]:
            delivery.revoke()
            if isinstance(delivery, Poller):
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
        if not self._unwritten:
            # A dict keeps the room that it had when it was full.
            self._unwritten = {}
        closed = list(_first(self._closed, most))
        for number in closed:
            del self._closed[number]
        for delivery in opened:
            delivery.tell()
        return Changes(opened, closed)

    def put_back(self, changes: Changes) -> None:
        """They could not be told, or it is not known whether they were."""
        self._closed.update(dict.fromkeys(changes.closed))
        self._unwritten.update({one.number: one for one in changes.opened if self._is_open(one)})

    def tell_all_again(self) -> None:
        """What was told is forgotten there."""
        self._unwritten = {one.number: one for one in self._open}

    def look_at_cursors(self, share: float) -> None:
        """Marks those whose cursor moved, among the next `share` (0 to 1) of all deliveries in turn.

        So the cost of looking, and of telling, is spread over the time that a told cursor may be old."""
        for _ in range(min(len(self._in_turn), int(len(self._in_turn) * share) + 1)):
            delivery = self._in_turn.popleft()
            if self._is_open(delivery):
                self._in_turn.append(delivery)
                if delivery.has_moved:
                    self._unwritten[delivery.number] = delivery

    def _enter(self, delivery: OpenDelivery) -> None:
        # The next, where the clock stands still or was set back.
        self._last_number = delivery.number = max(self._last_number + 1, int(self._clock() * 1e6))
        user_id = delivery.identity.user_id
        self._open.add(user_id, delivery)
        self._unwritten[delivery.number] = delivery
        self._in_turn.append(delivery)

    def _same(self, poller: Poller) -> Poller | None:
        """The open one of the same device."""
        for delivery in self._open.of(poller.identity.user_id):
            if isinstance(delivery, Poller) and (delivery.key, delivery.device) == (poller.key, poller.device):
                return delivery
        return None

    def _forget_poller(self, poller: Poller) -> None:
        self._idle.pop(poller, None)
        self.close(poller)

    def _is_open(self, delivery: OpenDelivery) -> bool:
        return self._open.has(delivery.identity.user_id, delivery)


def _first(numbers: dict[int, OpenDelivery] | dict[int, None], most: int) -> Iterator[int]:
    for count, number in enumerate(numbers):
        if count == most:
            return
        yield number
