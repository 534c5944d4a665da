"""What was written to clients: held for a moment and counted in one go, as counting each write by itself would cost a
good part of what writing it does."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import Metric

from orderstream.core.delivery import Item, Reset
from orderstream.core.events import Event
from orderstream.metrics.tallies import CountFamily, LatencyFamily

# A write to be counted: its items, its size in bytes, and when it was, by this host's clock.
Write = tuple[Sequence[Item], int, float]

# So many of a transport are held at most: their events stay in memory meanwhile.
MOST_HELD = 256


class Writes:
    """A collector for the registry. Append to a transport's `held`, and `settle` when there are MOST_HELD.

    `clock` is the time on the database's clock, in seconds since 1970; `reset` is told the reason of each reset.
    """

    def __init__(self, clock: Callable[[], float], reset: Callable[[str], None]) -> None:
        self.held: defaultdict[str, list[Write]] = defaultdict(list)
        self._clock = clock
        self._reset = reset
        self._events = CountFamily("orderstream_events_sent", "Events written to clients.", ("transport", "event"))
        self._bytes = CountFamily("orderstream_bytes_sent", "Bytes written to clients.", ("transport",))
        self.latencies = LatencyFamily(
            "orderstream_written_to_sent_seconds", "From the trigger's written_at to the socket.", "transport"
        )

    def settle(self) -> None:
        """Counts what is held. The clocks are compared once for all of it."""
        ahead_s = self._clock() - time.time()
        for transport, writes in self.held.items():
            ages: list[float] = []
            names: list[str] = []
            size_bytes = 0
            for items, write_bytes, at_s in writes:
                size_bytes += write_bytes
                for item in items:
                    if isinstance(item, Event):
                        ages.append(at_s - item.written_at + ahead_s)
                        names.append(item.name)
                    elif isinstance(item, Reset):
                        self._reset(item.reason)
            self._bytes.counts[(transport,)] += size_bytes
            self.latencies.series[transport].observe_all(ages)
            for name, count in Counter(names).items():
                self._events.counts[transport, name] += count
            writes.clear()

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at every scrape."""
        self.settle()
        for family in (self._events, self._bytes, self.latencies):
            yield from family.collect()
