"""What measuring costs: the CPU time of a delivered event with the meter and with one that does nothing, side by side.

Two `orderstream serve` on one database, with as many streams each, deliver the same events at the same time, while a
third one numbers them: CPU time of the two processes.

The meter's share is what it adds, as a part of what an event costs with it: the median of all rounds, and within which
half of them lie.
"""

import argparse
import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import uvloop

from orderstream import app, cli
from orderstream.demo.embedded import EmbeddedPostgres
from orderstream.metrics import PrometheusMeter
from orderstream.ports import Meter
from orderstream.postgres import migrations
from tests.services import ServiceProcess
from tests.waiting import eventually

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
    # In nanoseconds; what `times` says is in hundredths of a second.
    threads = Path(f"/proc/{service.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


async def of_the_service(database: str, rounds: int, users: int, streams: int, seconds: float) -> list[Round]:
    """Rounds of so many seconds; the same events for both."""
    names = [f"user-{number}-of-{users}" for number in range(users)]
    few: dict[str, Any] = {"log_level": "warning", "requests_per_address_per_minute": 1_000_000, "heartbeat_s": 55}
    few["max_streams_per_user"] = max(streams, 20)
    async with AsyncExitStack() as stack:
        leader = await stack.enter_async_context(ServiceProcess(database))
        await leader.logged("leadership-taken")
        change = "update orders set filled_quantity = filled_quantity + 1 where user_id = any (%s)"
        session = stack.enter_context(closing(psycopg2.connect(database)))
        session.autocommit = True
        cursor = session.cursor()
        cursor.execute(
            # Nothing odd: what a check found would make each event longer.
            "insert into orders (user_id, symbol, asset_class, side, order_type, platform, quantity, filled_quantity,"
            " status) select name, 'ACME', 'stock', 'buy', 'market', 'web', 100000000, 1, 'partially_filled'"
            " from unnest(%s) name",
            [names],
        )
        # Started now, they read the new orders as what was there before.
        measured, quiet = ServiceProcess(database, **few), QuietService(database, **few)
        for service in (measured, quiet):
            await stack.enter_async_context(service)
            await eventually(lambda service=service: _listens(service.port))
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
    parser.add_argument("--rounds", type=int, default=12, help="of each measurement (default 12)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round (default 2)")
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        def served(database: str) -> None:
            for streams in (1, 10, 300):
                users = 300 // streams
                found = runner.run(of_the_service(database, chosen.rounds, users, streams, chosen.seconds))
                say(f"{users} user{'s' * (users > 1)} with {streams} streams each", found)

        _with_postgres(served)


if __name__ == "__main__":
    if QUIET in sys.argv:
        app.PrometheusMeter = QuietMeter  # type: ignore[misc]
        cli.main(["serve"])
    else:
        main()
