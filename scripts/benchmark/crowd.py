"""Streams that a scenario holds open, and events that it waits for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from scripts.benchmark.child import Child, Trouble
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.peer import Peer
from scripts.fleet.fleet import Fleet, raise_descriptor_limit
from scripts.fleet.streams import OrderStream, Stream
from scripts.fleet.tally import Ages, Tally

P = TypeVar("P", bound=Peer)

_OPENING_S = 120.0


def users(count: int, first: int = 0) -> list[str]:
    """The names of those whose orders `Orders.fill` made."""
    return [f"u{number}" for number in range(first, first + count)]


@contextmanager
def running(peer: P) -> Iterator[P]:
    try:
        peer.start()
        yield peer
    finally:
        peer.stop()


class Crowd:
    """The streams of one peer, with what they count."""

    def __init__(self, lab: Lab, peer: Peer, fleet: Fleet) -> None:
        self._lab, self._peer = lab, peer
        self.fleet = fleet
        self.tally = Tally("sse")
        self.streams: list[Stream] = []

    def grow(self, names: Sequence[str]) -> None:
        """Opens one more for each of the names, and returns when the last of them is live."""
        raise_descriptor_limit(len(self.streams) + len(names))
        added = self._peer.streams(names, self.tally, first=len(self.streams))
        self.streams += added
        again = self._peer.is_asked_again
        for stream in added:
            stream.returns = again
        self.fleet.add(added)
        self.fleet.turn_until(lambda: self.is_live or (self.tally.errors > 0 and not again), _OPENING_S)
        if not self.is_live:
            raise Trouble(f"{self._peer.name}: {self.live} of {len(self.streams)} streams are open: {self._why()}")

    def say(self, line: str) -> None:
        self._lab.say(line)

    @property
    def is_live(self) -> bool:
        return self.live == len(self.streams)

    @property
    def live(self) -> int:
        return self.tally.live if isinstance(self.streams[0], OrderStream) else self.tally.open

    def settle(self, orders: int) -> None:
        """Changes each of the first orders once, those of the streams' users, and returns when all of that has come:
        what is measured after it is an order's later change. The first one that whoever numbers hears of an order that
        was there before it costs a query of its past, as only just after a start it does."""
        assert self._peer.orders is not None
        self.tally.events = 0
        options = ("--count", orders, "--orders", orders, "--batch", orders)
        writer = self._peer.orders.writer(self._lab.folder, self._lab.other_core, *options)
        if self.receive(orders, writer):
            raise Trouble(f"{self._peer.name}: not every order's first event came")
        self.tally.events, self.tally.ages = 0, Ages()

    def receive(self, expected: int, writer: Child | None, within_s: float = 60.0) -> int:
        """Turns until so many events came since the tally began and the writer has ended; how many are missing."""
        self.fleet.turn_until(lambda: self.tally.events >= expected and (writer is None or writer.is_over), within_s)
        if writer is not None:
            if not writer.is_over:
                writer.stop()
                raise Trouble(f"{self._peer.name}: the writer was not done in {within_s:.0f} s")
            writer.finish()
        return expected - self.tally.events

    def faults(self) -> int:
        """Events that were lost on the way, by their numbers, or came twice."""
        behind = sum(max(0, stream.head - stream.last) for stream in self.streams if isinstance(stream, OrderStream))
        return self.tally.lost + self.tally.repeated + behind

    def _why(self) -> str:
        refused = ", ".join(f"{count} answered {status}" for status, count in self.tally.refused.items())
        goaways = ", ".join(f"{count} {reason}" for reason, count in self.tally.goaways.items())
        return "; ".join(filter(None, [refused, goaways, f"{self.tally.broken} broken" if self.tally.broken else ""]))


@contextmanager
def crowd(lab: Lab, peer: Peer) -> Iterator[Crowd]:
    """Of a peer that runs."""
    with lab.fleet() as fleet:
        yield Crowd(lab, peer, fleet)
