"""Breaks each step of the path on purpose, one at a time, and measures who says so after how many seconds.

Everything is real: a Postgres of its own, two `orderstream serve` with the default settings and the canary on, a
Prometheus with config/prometheus.yml and config/rules.yml, pgbouncer where it is wanted, and what `orderstream doctor`
finds, again and again. Seconds run from when the break is made. `ready` is what /health/ready of any process says; an
alert has the time when it was pending, and when it fired. Then the break is mended, and it is waited until both
processes are ready and their canaries hear themselves over each transport.

Takes some ten minutes, on a machine with nothing else to do. Programs needed, which scripts/test installs: prometheus,
pgbouncer; and for the full disk the right to mount, or user namespaces. The exit status is 1 where somebody was silent
who should not be.

  scripts/breaks                     all; prints the table
  scripts/breaks --only leader       one of them
  scripts/breaks --write             all, and puts the table into docs/breaks.md
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from scripts.written import write_between
from tests.breaks.breaks import DISK_MB, Break, breaks
from tests.breaks.deployment import Deployment, deployed
from tests.breaks.disks import small_disk
from tests.breaks.looks import Look, doctor, reasons
from tests.postgres.servers import TestServer, running
from tests.prometheus.server import Prometheus, running_prometheus
from tests.services import ServiceProcess
from tests.waiting import eventually

DOCUMENT = Path(__file__).parents[1] / "docs" / "breaks.md"
# Where it is, is this run's own.
_SOCKET = re.compile(r"/tmp/orderstream-socket-[\w./-]+")
# Longer than the slowest alert that is waited for.
_WATCHED_S = 150.0
# What a blink would be: a listener that comes back by itself.
_LEAST_WATCHED_S = 8.0
# Fills the outbox for half a minute or more.
_ORDERS = 450_000


class Watch:
    """What was said since the break, each by whom it was said first: part -> (seconds, words)."""

    def __init__(
        self, at: Deployment, prometheus: Prometheus, broken: Break, well: list[Look], host: ServiceProcess
    ) -> None:
        """`host`: whose host doctor is run on."""
        self._at, self._prometheus, self._said, self._well, self._host = at, prometheus, broken.said, well, host
        self.began_s = time.monotonic()
        self.ready: dict[str, tuple[float, str]] = {}
        self.canary: dict[str, float] = {}
        self.alerts: dict[str, dict[str, float]] = {}
        self.doctor: dict[str, tuple[float, str]] = {}

    @property
    def seconds(self) -> float:
        return max(0.0, time.monotonic() - self.began_s)

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for watching in (self._watch_ready, self._watch_canary, self._watch_alerts, self._watch_doctor):
                group.create_task(watching())

    def missing(self) -> list[str]:
        """What should be said and was not yet."""
        said, parts = self._said, []
        if said.ready is not None and not any(said.ready[1] in words for _, words in self.ready.values()):
            parts.append("ready")
        if said.canary is not None and said.canary not in self.canary:
            parts.append("the canary")
        parts += sorted(name for name in said.alerts if "firing" not in self.alerts.get(name, {}))
        parts += [
            f"doctor ({check})" for check, what in said.doctor.items() if what not in self.doctor.get(check, (0, ""))[1]
        ]
        return parts

    async def _watch_ready(self) -> None:
        while True:
            for service in self._at.services:
                for check, reason in (await reasons(self._at.session, service)).items():
                    self.ready.setdefault(check, (self.seconds, reason))
            await asyncio.sleep(0.02)

    async def _watch_canary(self) -> None:
        while True:
            for now, then in zip(await self._at.looks(), self._well, strict=True):
                if now.late_since(then):
                    self.canary.setdefault("late", self.seconds)
                if now.refused_since(then):
                    self.canary.setdefault("refused", self.seconds)
            await asyncio.sleep(0.25)

    async def _watch_alerts(self) -> None:
        while True:
            for name, state in await self._prometheus.alerts():
                self.alerts.setdefault(name, {}).setdefault(state, self.seconds)
            await asyncio.sleep(0.25)

    async def _watch_doctor(self) -> None:
        while True:
            for finding in await doctor(self._host):
                self.doctor.setdefault(finding.check, (self.seconds, f"{finding.what} -> {finding.to_do}"))
            await asyncio.sleep(0.5)


class Measured:
    """One break, mended."""

    def __init__(self, broken: Break, watch: Watch, mended_s: float) -> None:
        self.broken, self.watch, self.mended_s = broken, watch, mended_s
        self.silent = watch.missing()

    def row(self) -> str:
        """Of the table."""
        watch, silence = self.watch, self.broken.said.silence
        cells = [
            self.broken.what,
            _joined(f"{seconds:.1f} s `{check or 'no answer'}`" for check, (seconds, _) in watch.ready.items()),
            _joined(f"{seconds:.0f} s {kind}" for kind, seconds in watch.canary.items()),
            _joined(f"{name.removeprefix('Orderstream')} {_times(times)}" for name, times in watch.alerts.items()),
            _joined(f"{seconds:.0f} s `{check}`" for check, (seconds, _) in watch.doctor.items()),
            f"{self.mended_s:.0f} s",
        ]
        for number, part in enumerate(("ready", "canary", "alert", "doctor"), 1):
            if part in silence:
                cells[number] = f"{cells[number]}; {silence[part]}" if cells[number] else f"silent: {silence[part]}"
        return "| " + " | ".join(cell or "silent" for cell in cells) + " |"

    def words(self) -> Iterator[str]:
        """What was said, line by line."""
        yield f"{self.broken.name}:"
        yield from (_SOCKET.sub("the socket", line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for check, (seconds, reason) in self.watch.ready.items():
            yield (
                f"  {seconds:5.1f} s  ready    {check}: {reason}" if check else f"  {seconds:5.1f} s  ready    {reason}"
            )
        for check, (seconds, what) in self.watch.doctor.items():
            yield f"  {seconds:5.1f} s  doctor   {check}: {what}"


def _joined(parts: Iterator[str]) -> str:
    return "; ".join(parts)


def _times(times: dict[str, float]) -> str:
    pending, firing = times.get("pending"), times.get("firing")
    if firing is None:
        return f"{pending:.0f} s, pending"
    return f"{firing:.0f} s" if pending is None else f"{firing:.0f} s (pending {pending:.0f} s)"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def measure(broken: Break, server: TestServer, folder: Path) -> Measured:
    """In a deployment of its own."""
    async with (
        deployed(server, bounced=broken.bounced) as at,
        running_prometheus(folder, *at.services, hurried=False) as prometheus,
    ):

        async def quiet() -> bool:
            both = await prometheus.values('count(up{job="orderstream"} == 1)') == [2.0]
            return both and not await prometheus.alerts()

        await eventually(quiet, within_s=_WATCHED_S)
        _, well = await at.well()
        host, _ = await at.leader_and_other()
        say(f"{broken.name}: all is well; breaking it")
        watch = Watch(at, prometheus, broken, well, host)
        watching = asyncio.create_task(watch.run())
        try:
            async with broken.done_to(at):
                watch.began_s = time.monotonic()
                while watch.seconds < _LEAST_WATCHED_S or (watch.missing() and watch.seconds < _WATCHED_S):
                    await asyncio.sleep(1.0)
                    if int(watch.seconds) % 10 == 0 and watch.missing():
                        say(f"{broken.name}: {watch.seconds:.0f} s, waiting for {', '.join(watch.missing())}")
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        mended_s = time.monotonic()
        await at.well(within_s=120.0)
        return Measured(broken, watch, time.monotonic() - mended_s)


@contextmanager
def server_for(broken: Break) -> Iterator[TestServer]:
    with ExitStack() as stack:
        if broken.small_disk:
            folder = stack.enter_context(small_disk(DISK_MB))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True)))
            folder.chmod(0o755)
        yield stack.enter_context(running(folder, "pg18"))


def report(found: list[Measured]) -> str:
    """The table and the words, as Markdown."""
    lines = [
        f"On {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores shared with others, Postgres 18:",
        "",
        "| break | `ready` | canary | alert | `doctor` | well again after |",
        "|---|---|---|---|---|---|",
        *[one.row() for one in found],
        "",
        "What they said:",
        "",
        "```",
        *[line for one in found for line in one.words()],
        "```",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measures, and prints or writes."""
    every = breaks(_ORDERS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[broken.name for broken in every], help="one of them")
    parser.add_argument("--write", action="store_true", help="put the table into docs/breaks.md")
    chosen = parser.parse_args()
    if chosen.only and chosen.write:
        parser.error("--write takes all of them")
    found = []
    for broken in every:
        if chosen.only in (None, broken.name):
            with server_for(broken) as server, tempfile.TemporaryDirectory() as folder:
                found.append(asyncio.run(measure(broken, server, Path(folder))))
            say(f"{broken.name}: {found[-1].row()}")
    text = report(found)
    if chosen.write:
        write_between(DOCUMENT, "scripts/breaks", text)
    else:
        print(text)
    silent = {one.broken.name: one.silent for one in found if one.silent}
    for name, parts in silent.items():
        say(f"{name}: silent: {', '.join(parts)}")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
