"""One timer for all that is due within the same tenth of a second: of its own, each poll would keep a handle of
libuv's, a context and a bound method (docs/decisions/0010-held-polls.md)."""

import asyncio
from contextvars import Context
from math import ceil
from typing import Protocol

TICK_S = 0.1


class Alarmed(Protocol):
    """What is called. It has its own place in the list of those that its alarm is set for: a table of them would take
    more for each than these two."""

    earlier: "Place"
    later: "Place"

    def ring(self) -> None:
        """Called once for each `set` that was not taken back."""
        ...


class Alarm:
    """Rings at `at`, on the loop's clock, for all that it is set for by then: a ring of places, of which it is one."""

    __slots__ = ("at", "earlier", "later")

    def __init__(self, at: float) -> None:
        self.at = at
        self.earlier: Place = self
        self.later: Place = self

    def add(self, one: Alarmed) -> None:
        """As the last."""
        last = self.earlier
        one.earlier, one.later = last, self
        last.later = self.earlier = one

    def take_back(self, one: Alarmed) -> None:
        """It is not called. Only where it was added, and was not called."""
        one.earlier.later, one.later.earlier = one.later, one.earlier
        del one.earlier, one.later


Place = Alarm | Alarmed


class Alarms:
    """Of one event loop, whose clock is meant by every time here."""

    def __init__(self) -> None:
        self._alarms: dict[float, Alarm] = {}

    def set(self, one: Alarmed, due: float) -> Alarm:
        """The alarm that rings for it when `due` is over, at most a tick later."""
        at = ceil(due / TICK_S) * TICK_S
        alarm = self._alarms.get(at)
        if alarm is None:
            alarm = self._alarms[at] = Alarm(at)
            asyncio.get_running_loop().call_at(at, self._over, alarm, context=Context())
        alarm.add(one)
        return alarm

    def _over(self, alarm: Alarm) -> None:
        del self._alarms[alarm.at]
        _ring(alarm)


def _ring(alarm: Alarm) -> None:
    """For one, and for the next in a turn of its own: polls that were answered together may end together, by the
    thousand, and nobody else waits for all of them; nor are they lost where one fails."""
    # One of them may have taken back another.
    one = alarm.later
    if not isinstance(one, Alarm):
        alarm.take_back(one)
        asyncio.get_running_loop().call_soon(_ring, alarm, context=Context())
        one.ring()
