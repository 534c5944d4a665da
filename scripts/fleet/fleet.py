"""The loop that turns all clients, and the line of those that wait to be let in."""

import heapq
import itertools
import resource
import select
import time
from collections import deque
from collections.abc import Callable, Iterable

from scripts.fleet.connection import Connection

# That many connect at a time: more would only fill the queue of the listening socket, and overflow it at 128.
AT_ONCE = 100
_SPARE_DESCRIPTORS = 200


class Fleet:
    """Clients on one epoll. `add` lets them in, `at_once` of them at a time; `turn` does what is to be done."""

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._watched: dict[int, Connection] = {}
        self._waiting: deque[Connection] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._connecting: set[Connection] = set()
        self.per_s: float | None = None
        self.at_once = AT_ONCE
        self._credit = 0.0
        self._credited_at = time.monotonic()

    def add(self, connections: Iterable[Connection]) -> None:
        """They begin in this order, `per_s` of them a second, or as fast as it goes."""
        self._waiting.extend(connections)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Calls it from a turn, once so much time has passed."""
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._numbers), call))

    def turn(self, timeout_s: float = 0.05) -> None:
        """Waits for sockets at most so long, and lets each do one step."""
        self._let_in()
        if self._waiting:
            timeout_s = min(timeout_s, 0.002)
        watched = self._watched
        for descriptor, _ in self._poller.poll(timeout_s, 1024):
            # One that another one's step closed is not there any more.
            connection = watched.get(descriptor)
            if connection is not None:
                connection.ready()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def turn_for(self, duration_s: float) -> None:
        """Turns for so long."""
        end = time.monotonic() + duration_s
        while (left_s := end - time.monotonic()) > 0:
            self.turn(min(left_s, 0.05))

    def turn_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Turns until it is true, or the time is up; says whether it was."""
        end = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > end:
                return False
            self.turn()
        return True

    @property
    def is_empty(self) -> bool:
        return not self._watched and not self._waiting

    def close_all(self) -> None:
        """Every connection, at once and without a word; those that wait and the timers are forgotten."""
        self._waiting.clear()
        self._timers.clear()
        self._connecting.clear()
        for connection in list(self._watched.values()):
            connection.close()

    def close(self) -> None:
        self.close_all()
        self._poller.close()

    # What the connections call.

    def watch(self, connection: Connection, *, writing: bool) -> None:
        assert connection.sock is not None
        self._watched[connection.sock.fileno()] = connection
        self._poller.register(connection.sock, select.EPOLLOUT if writing else select.EPOLLIN)

    def rewatch(self, connection: Connection, *, writing: bool) -> None:
        assert connection.sock is not None
        self._poller.modify(connection.sock, select.EPOLLOUT if writing else select.EPOLLIN)

    def forget(self, connection: Connection) -> None:
        self._connecting.discard(connection)
        self.unwatch(connection)

    def unwatch(self, connection: Connection) -> None:
        """It gets another socket, and is on its way still."""
        assert connection.sock is not None
        if self._watched.pop(connection.sock.fileno(), None) is not None:
            self._poller.unregister(connection.sock)

    def is_in(self, connection: Connection) -> None:
        """Its answer has begun: the next one may come."""
        self._connecting.discard(connection)

    def _let_in(self) -> None:
        now = time.monotonic()
        earned = self.at_once if self.per_s is None else (now - self._credited_at) * self.per_s
        self._credit = min(self._credit + earned, self.at_once)
        self._credited_at = now
        while self._waiting and len(self._connecting) < self.at_once and self._credit >= 1:
            self._credit -= 1
            connection = self._waiting.popleft()
            self._connecting.add(connection)
            try:
                connection.connect(self)
            except OSError as error:
                self._connecting.discard(connection)
                connection.ended(error.strerror or type(error).__name__)


def raise_descriptor_limit(wanted: int) -> None:
    """To what is wanted; raises OSError, in words, where this process may not have as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted += _SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise OSError(f"{wanted} open files are needed, and the limit is {hard}: ulimit -Hn")
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
