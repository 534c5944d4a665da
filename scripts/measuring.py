"""What measuring costs: the CPU time of a delivered event with the meter and with one that does nothing, side by side.

First the delivery path alone, from the hub to sockets that another program reads: CPU time of the one thread, exact to
the microsecond. Then two `orderstream serve` on one database, with as many streams each, which deliver the same events
at the same time while a third one numbers them: CPU time of the two processes.

The meter's share is what it adds, as a part of what an event costs with it: the median of all rounds, and within which
half of them lie.
"""

import argparse
import asyncio
import multiprocessing
import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg2
import uvloop

from orderstream import app, cli
from orderstream.core.events import SequencedEvent
from orderstream.demo.embedded import EmbeddedPostgres
from orderstream.hub import Hub, HubLimits
from orderstream.metrics import PrometheusMeter
from orderstream.ports import Meter
from orderstream.postgres import migrations
from orderstream.web.stream import EventStreamResponse, StreamOutlet
from tests.services import ServiceProcess
from tests.waiting import eventually
from tests.web.memory import MemoryStore

QUIET = "--quiet-service"
_EVENT = b"event: order\n"


def _nothing(*_: object) -> None:
    """Instead of counting."""


QuietMeter = type(
    "QuietMeter", (PrometheusMeter,), {name: _nothing for name in vars(Meter) if not name.startswith("_")}
)


class Round(NamedTuple):
    """CPU seconds of one delivered event."""

    measured_s: float
    quiet_s: float

    @property
    def share(self) -> float:
        return 1 - self.quiet_s / self.measured_s


# The delivery path alone


# Of an event as it comes from the table, about as long as most.
_FIELDS = ",".join(f'"field_{number}":"value {number}"' for number in range(25))
_BODY = f'{{"order":{{{_FIELDS}}},"written_at":"2026-11-26T22:00:00.000000Z"}}'


class _Clock:
    """As far away as the service's."""

    offset_s = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s


class DeliveryPath:
    """A hub and the streams of its users, as one process has them."""

    def __init__(self, meter: Meter, users: Sequence[str]) -> None:
        self._meter, self._users, self._seq = meter, users, 0
        store = MemoryStore()
        self._hub = Hub(store, meter, HubLimits())
        self._row = SequencedEvent(0, "", store.epoch, 0, "order", _BODY, 0.0)
        self.outlets: list[StreamOutlet] = []

    async def open(self, user: str, end: socket.socket) -> None:
        """A stream of the user's that writes to `end`."""
        socket_, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=end)
        outlet = StreamOutlet(EventStreamResponse(send_timeout_s=60.0), socket_, self._meter, send_timeout_s=60.0)
        outlet.subscriber = self._hub.subscribe(user, None, outlet)
        outlet.subscriber.pump()
        self.outlets.append(outlet)
        await eventually(lambda: outlet.cursor is not None)

    async def cpu_s(self, batches: int) -> float:
        """Of one delivered event, over so many batches of an event for each user."""
        spent_s = 0.0
        for _ in range(batches):
            self._seq += 1
            now = time.time()
            batch = [self._row._replace(user_id=user, seq=self._seq, written_at=now) for user in self._users]
            before_s = time.thread_time()
            self._meter.followed(batch)
            self._hub.publish(batch)
            # What was put off is part of it.
            await asyncio.sleep(0)
            spent_s += time.thread_time() - before_s
        return spent_s / (batches * len(self.outlets))


def _drain(ends: Sequence[socket.socket]) -> None:
    selector = selectors.DefaultSelector()
    for end in ends:
        selector.register(end, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if not os.read(key.fd, 1 << 16):
                return


async def of_the_path(rounds: int, users: int, streams: int, batches: int) -> list[Round]:
    """Rounds of both by turns, which begins differs."""
    names = [f"user-{number}" for number in range(users)]
    measured = DeliveryPath(PrometheusMeter(clock=_Clock().now), names)
    quiet = DeliveryPath(QuietMeter(), names)
    pairs = [[socket.socketpair() for _ in range(users * streams)] for _ in range(2)]
    reader = multiprocessing.Process(target=_drain, args=[[end for many in pairs for _, end in many]], daemon=True)
    reader.start()
    try:
        for path, many in zip((measured, quiet), pairs, strict=True):
            for number, (ours, theirs) in enumerate(many):
                theirs.close()
                ours.setblocking(False)
                await path.open(names[number % users], ours)
        found = []
        for number in range(rounds):
            order = (measured, quiet) if number % 2 else (quiet, measured)
            cost = {path: await path.cpu_s(batches) for path in order}
            found.append(Round(cost[measured], cost[quiet]))
        return found
    finally:
        reader.terminate()
        reader.join()


# The whole service


class QuietService(ServiceProcess):
    """Counts nothing."""

    program = ("-m", "scripts.measuring", QUIET)


class _Reader(asyncio.Protocol):
    """A client that only counts its events, once it is live."""

    def __init__(self) -> None:
        self.live = False
        self.events = 0
        self._tail = b""

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        if self.live:
            self.events += data.count(_EVENT)
            self._tail = data[1 - len(_EVENT) :]
        else:
            self.live = b"event: live\n" in data
            self._tail = b"" if self.live else data


async def _readers(service: ServiceProcess, users: Sequence[str], streams: int) -> list[_Reader]:
    readers = []
    for user in users:
        head = f"GET /v1/orders/stream HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer {service.jwt(user)}\r\n\r\n"
        for _ in range(streams):
            transport, reader = await asyncio.get_running_loop().create_connection(_Reader, "127.0.0.1", service.port)
            transport.write(head.encode())
            readers.append(reader)
    await eventually(lambda: all(reader.live for reader in readers))
    return readers


def _cpu_s(service: ServiceProcess) -> float:
    times = psutil.Process(service.pid).cpu_times()
    return times.user + times.system


async def of_the_service(database: str, rounds: int, users: int, streams: int, seconds: float) -> list[Round]:
    """Rounds of so many seconds; the same events for both."""
    names = [f"user-{number}-of-{users}" for number in range(users)]
    few: dict[str, Any] = {"log_level": "warning", "requests_per_address_per_minute": 1_000_000, "heartbeat_s": 55}
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(ServiceProcess(database))
        await leader.logged("leadership-taken")
        measured, quiet = ServiceProcess(database, **few), QuietService(database, **few)
        for service in (measured, quiet):
            await stack.enter_async_context(service)
            await eventually(lambda service=service: _listens(service.port))
        change = "update orders set filled_quantity = filled_quantity + 1 where user_id = any (%s)"
        session = stack.enter_context(closing(psycopg2.connect(database)))
        session.autocommit = True
        cursor = session.cursor()
        cursor.execute(
            "insert into orders (user_id, symbol, asset_class, side, order_type, platform, quantity)"
            " select name, 'ACME', 'stock', 'buy', 'market', 'web', 100000000 from unnest(%s) name",
            [names],
        )
        readers = {service: await _readers(service, names, streams) for service in (measured, quiet)}
        sent = 0

        def delivered(service: ServiceProcess) -> int:
            return sum(reader.events for reader in readers[service])

        async def one_batch() -> None:
            """Once all clients of both have it."""
            nonlocal sent
            sent += users * streams
            await asyncio.to_thread(cursor.execute, change, [names])
            await eventually(lambda: all(delivered(service) >= sent for service in readers))

        found = []
        for number in range(rounds + 1):
            began, before, end = {service: _cpu_s(service) for service in readers}, sent, time.monotonic() + seconds
            while time.monotonic() < end:
                await one_batch()
            cost = {service: (_cpu_s(service) - began[service]) / (sent - before) for service in readers}
            # The first is for warming up.
            found += [Round(cost[measured], cost[quiet])] if number else []
        assert delivered(measured) == delivered(quiet) == sent, "they delivered different events"
        return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Saying


def say(what: str, rounds: Sequence[Round]) -> None:
    """One line."""
    low, middle, high = statistics.quantiles([one.share for one in rounds], n=4)
    measured_us, quiet_us = (
        statistics.median(times) * 1e6
        for times in ([one.measured_s for one in rounds], [one.quiet_s for one in rounds])
    )
    print(
        f"{what}: {measured_us:.2f} us an event, {quiet_us:.2f} us without measuring; "
        f"share {middle:.1%} (half of {len(rounds)} rounds from {low:.1%} to {high:.1%})",
        flush=True,
    )


def _with_postgres(measure: Callable[[str], Any]) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        postgres = EmbeddedPostgres(Path(folder))
        postgres.start()
        try:
            migrations.apply(postgres.dsn())
            measure(postgres.dsn())
        finally:
            postgres.close()


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of each measurement (default 20)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round of the whole service (default 2)")
    parser.add_argument("--only", choices=["path", "service"], help="one of the two")
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if chosen.only != "service":
            for streams in (1, 3, 20):
                users = 300 // streams
                found = runner.run(of_the_path(chosen.rounds, users, streams, batches=50))
                say(f"delivery path, {users} users with {streams} streams each", found)

        def served(database: str) -> None:
            for streams in (1, 10):
                users = 300 // streams
                found = runner.run(of_the_service(database, chosen.rounds, users, streams, chosen.seconds))
                say(f"service, {users} users with {streams} streams each", found)

        if chosen.only != "path":
            _with_postgres(served)


if __name__ == "__main__":
    if QUIET in sys.argv:
        app.PrometheusMeter = QuietMeter  # type: ignore[misc]
        cli.main(["serve"])
    else:
        main()
