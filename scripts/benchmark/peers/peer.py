"""What a scenario needs of a server: to start it, to hold its streams, to know what it costs."""

import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from scripts.benchmark import proc
from scripts.benchmark.child import Child, free_port, listens
from scripts.benchmark.lab import Lab
from scripts.benchmark.orders import Orders
from scripts.fleet.connection import Target
from scripts.fleet.streams import PlainStream, Stream
from scripts.fleet.tally import Tally

_AS_BROWSERS_SEND = (
    b"Accept: text/event-stream\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    b"Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) orderstream-bench\r\n"
)


class Peer(ABC):
    """One server. Between `start` and `stop` it runs, and `target` is where.

    `kind` names the database that feeds it; None: it feeds itself. What `peer.server` names is the server, what
    `bridge` names feeds it where it cannot listen to Postgres itself.
    """

    name: ClassVar[str]
    kind: ClassVar[str | None]
    # Python packages that it needs.
    modules: ClassVar[tuple[str, ...]] = ()
    stream_class: ClassVar[type[PlainStream]] = PlainStream
    # Whether it answers some of many that come at once with a 502: they ask again.
    is_asked_again: ClassVar[bool] = False
    target: Target

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.port = free_port()
        self.server: list[Child] = []
        self.bridge: list[Child] = []

    @classmethod
    def missing(cls) -> str | None:
        """What is not installed, if anything."""
        absent = [name for name in cls.modules if importlib.util.find_spec(name) is None]
        return f"{', '.join(absent)} not installed" if absent else None

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """As the report names it."""

    @property
    def orders(self) -> Orders | None:
        return None if self.kind is None else self.lab.orders(self.kind)

    @abstractmethod
    def start(self) -> None:
        """Returns when it takes connections."""

    def stop(self) -> None:
        for child in (*self.bridge, *self.server):
            child.stop()
        self.server, self.bridge = [], []

    def streams(self, users: Iterable[str], tally: Tally, *, first: int = 0) -> Sequence[Stream]:
        """One for each of the users; `first` is the number of the first of them among all clients."""
        return [
            self.stream_class(self.target, number, user, self.request(user), tally)
            for number, user in enumerate(users, first)
        ]

    def request(self, user: str) -> bytes:
        """The request's head, without the blank line."""
        return request_head(self.target, f"/stream/{user}", _AS_BROWSERS_SEND)

    def cpu_s(self) -> float:
        """Used so far by the server."""
        return proc.cpu_s(pid for child in self.server for pid in child.pids)

    def bridge_cpu_s(self) -> float:
        return proc.cpu_s(pid for child in self.bridge for pid in child.pids)

    def rss_bytes(self) -> int:
        return proc.rss_bytes(pid for child in self.server for pid in child.pids)

    def run(self, name: str, *arguments: object) -> Child:
        """A program of ours, in Python, on the server's core."""
        command = [sys.executable, "-m", f"scripts.benchmark.programs.{name}", *map(str, arguments)]
        return Child(name, command, self.lab.folder, core=self.lab.server_core)

    def serve(self, child: Child) -> None:
        """It is the server, or a part of it, and takes connections on our port."""
        self.server.append(child)
        child.wait_for(lambda: listens(self.port))
        self.target = Target(f"http://127.0.0.1:{self.port}")


def request_head(target: Target, path: str, more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n%b" % ((target.path + path).encode(), target.authority.encode(), more)


def with_headers(more: bytes) -> bytes:
    """What an EventSource sends, and this."""
    return _AS_BROWSERS_SEND + more
