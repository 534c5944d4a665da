"""One user's channel in this process, and the subscribers that follow it: a position in its log each, not a queue, so
that a slow one costs no memory.
"""

from typing import Any, Protocol

from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Action, Delivery, Resumed, Send, State, Wait
from orderstream.core.groups import joined, left, members
from orderstream.core.log import ChannelLog, LogBounds
from orderstream.ports import Outlet, StreamOutlet


class Home(Protocol):
    """What a subscriber asks of the hub."""

    def read(self, subscriber: "Subscriber", action: Action) -> None:
        """MUST start what the delivery asks for, and not wait for it."""

    def resumed(self, source: str) -> None:
        """Called once for each delivery that goes on after its client's cursor."""

    def leave(self, subscriber: "Subscriber") -> None:
        """MUST take it out of its channel; called once."""


class Channel(ChannelLog):
    """One user's log in this process, and who follows it."""

    __slots__ = ("_group", "loading", "user_id")

    def __init__(self, user_id: str, bounds: LogBounds) -> None:
        super().__init__(bounds)
        self.user_id = user_id
        self.loading = False
        self._group: Any = None

    @property
    def subscribers(self) -> "tuple[Subscriber, ...]":
        """As they are now."""
        return members(self._group)

    def add(self, subscriber: "Subscriber") -> None:
        self._group = joined(self._group, subscriber)

    def remove(self, subscriber: "Subscriber") -> None:
        """It may be gone already."""
        self._group = left(self._group, subscriber)


class Subscriber(Delivery):
    """A delivery that moves items from its channel to its outlet, as fast as the outlet takes them."""

    __slots__ = ("_home", "channel", "outlet")

    def __init__(self, home: Home, channel: Channel, cursor: str | None, outlet: Outlet) -> None:
        super().__init__(cursor)
        self._home = home
        self.channel = channel
        self.outlet = outlet

    def tell(self, seq: int, frames: bytes) -> bool:
        """Writes `frames`, which are all events after `seq`, to a stream that lacks just these; says whether it did."""
        return False

    def pump(self) -> None:
        """Sends what there is; starts the read that is asked for. Never waits."""
        outlet = self.outlet
        while outlet.ready:
            action = self.advance(self.channel)
            if isinstance(action, Send):
                outlet.send(action.items)
                if action.last:
                    break
            elif isinstance(action, Resumed):
                self._home.resumed(action.source)
            else:
                if not isinstance(action, Wait):
                    self._home.read(self, action)
                break
        outlet.flush()

    @property
    def head(self) -> Cursor | None:
        """How far we know, as far as this client may be measured by it: while it is being served older events, only up
        to them. None before anything is known."""
        if self.state is State.LOADING:
            return None
        cursor, known = self.channel.cursor, self.known
        return max(cursor, known) if self.state is State.LIVE and known is not None else known

    def close(self) -> None:
        """Takes it out of the hub; may be called more than once."""
        if self.state is not State.CLOSED:
            super().close()
            self._home.leave(self)


class StreamSubscriber(Subscriber):
    """One whose outlet takes frames as they are, the same bytes for all: as a rule nothing is left to decide."""

    __slots__ = ()

    outlet: StreamOutlet

    def tell(self, seq: int, frames: bytes) -> bool:
        if self.outlet.ready and self.keeps_up(self.channel, seq):
            self.outlet.write(frames)
            return True
        return False
