"""How a session's socket is watched: in a selector of its own, and the loop watches only that.

libpq closes its socket, and opens another of the same number, whenever it likes: on an error, and to try again without
encryption. A loop must not find that out by itself. uvloop's handle of a socket that was reset is dead, and kept: every
later session on that number is refused, for good; and one that is to watch for more on a number that has become another
socket aborts the process. The kernel's own set forgets what is closed, and says so of what it does not know.
"""

import asyncio
import selectors
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import aiopg
from psycopg2 import extensions

# Notifications that nobody takes. Whoever lost as many reads what there is on a new session, as after any lost one.
MOST_UNHEARD = 10_000

_Call = tuple[Callable[..., object], tuple[object, ...]]


class Watched:
    """The loop as a session of aiopg's has it: that loop, but for the four calls that watch its one socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._selector: selectors.DefaultSelector | None = None
        self._calls: dict[int, _Call] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def add_reader(self, number: int, call: Callable[..., object], *arguments: object) -> None:
        self._calls[selectors.EVENT_READ] = call, arguments
        self.watch(number)

    def add_writer(self, number: int, call: Callable[..., object], *arguments: object) -> None:
        self._calls[selectors.EVENT_WRITE] = call, arguments
        self.watch(number)

    def remove_reader(self, number: int) -> None:
        self._calls.pop(selectors.EVENT_READ, None)
        self.watch(number)

    def remove_writer(self, number: int) -> None:
        self._calls.pop(selectors.EVENT_WRITE, None)
        self.watch(number)

    def watch(self, number: int) -> None:
        """Has the kernel watch what the number stands for now, which may be another socket than a moment ago. Where it
        is none any more there is nothing to watch: whoever uses it next finds that out."""
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            self._loop.add_reader(self._selector, self._look)
        for known in list(self._selector.get_map() or ()):
            self._selector.unregister(known)
        if self._calls:
            with suppress(OSError):
                self._selector.register(number, sum(self._calls))

    def close(self) -> None:
        """The session is over. May be called again."""
        self._calls.clear()
        if self._selector is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._selector)
            self._selector.close()
            self._selector = None

    def _look(self) -> None:
        assert self._selector is not None
        for _, events in self._selector.select(0):
            for event in (selectors.EVENT_READ, selectors.EVENT_WRITE):
                # What was called first may have ended the session.
                if events & event and event in self._calls:
                    call, arguments = self._calls[event]
                    call(*arguments)


class Connection(aiopg.Connection):
    """aiopg's, on a Watched loop. A query is a future and a timer; aiopg's cursors take many objects for each, and an
    order that changes alone waits for all of that."""

    _watched: Watched
    _stirring: asyncio.Future[None] | None = None

    @property  # type: ignore[override]
    def _loop(self) -> Watched:
        return self._watched

    @_loop.setter
    def _loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watched = Watched(loop)

    async def ask(self, sql: str, parameters: Mapping[str, Any] | None) -> list[tuple[Any, ...]]:
        """The rows of the last statement; one query at a time. Raises what psycopg2 raises, and TimeoutError; after
        that, or when it is cancelled, the connection is closed."""
        cursor = self.raw.cursor()
        answered = self._create_waiter("ask")
        timer = self._watched.call_later(self._timeout, _time_is_over, answered)
        try:
            cursor.execute(sql, parameters)
            self._ready(self._weakref)
            await answered
            return cursor.fetchall() if cursor.description else []
        except (asyncio.CancelledError, TimeoutError):
            self._close()
            raise
        finally:
            timer.cancel()
            self._waiter = None
            cursor.close()

    def heard(self) -> list[str]:
        """The payloads of the notifications that have come. aiopg looks only before it asks psycopg2 to read, so what
        arrived with the end of an answer lies in psycopg2 until the socket says something again, which may be never."""
        payloads: list[str] = []
        while not self._notifies.empty():
            payloads.append(self._notifies.get_nowait().payload)
        self.raw.poll()
        payloads += [notify.payload for notify in self.raw.notifies]
        self.raw.notifies.clear()
        return payloads

    async def stirred(self, timeout_s: float) -> None:
        """Returns when something came, at `stir`, or when the time is over. May be cancelled."""
        self._stirring = stirring = self._watched.create_future()
        timer = self._watched.call_later(timeout_s, _wake, stirring)
        try:
            await stirring
        finally:
            timer.cancel()
            self._stirring = None

    def stir(self) -> None:
        """Ends a wait, if there is one."""
        if self._stirring is not None:
            _wake(self._stirring)

    @staticmethod
    def _ready(weak_self: Any) -> None:
        aiopg.Connection._ready(weak_self)
        self = weak_self()
        if self is not None:
            self._follow()
            if self._notifies.qsize() > MOST_UNHEARD:
                self._close()
            self.stir()

    def _follow(self) -> None:
        """While it connects, libpq may have gone on to another socket."""
        raw = self.raw
        if not raw.closed and raw.status != extensions.STATUS_READY and self._fileno is not None:
            self._fileno = number = raw.fileno()
            self._watched.watch(number)

    def _close(self) -> None:
        super()._close()
        self._watched.close()
        self.stir()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _time_is_over(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_exception(TimeoutError())
