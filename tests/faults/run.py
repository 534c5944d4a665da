"""One run of one or several faults: calm, the faults at random times, quiet, and then what the checker says."""

import asyncio
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

from tests.faults import of_load, of_networks, of_overload, of_postgres, of_services
from tests.faults.catalogue import CATALOGUE, Fault
from tests.faults.history import Reset, Violation, violations
from tests.faults.stage import PATIENCE_S, Stage, staged
from tests.postgres.servers import TestServer, running

# They fill the catalogue.
SOURCES = (of_services, of_postgres, of_networks, of_load, of_overload)
# Several faults of a run begin within this time, so that most of them overlap.
SPREAD_S = 3.0
CALM_S = (0.5, 1.5)

Tell = Callable[[str], None]


class Outcome(NamedTuple):
    """What one run showed. `committed` are changes, `received` what all clients together were told of them,
    `resets` those that the faults explain among them; `live_s` the seconds from the end of the last fault until every
    client was told of a new change."""

    faults: str
    seed: int
    committed: int
    received: int
    clients: int
    connections: int
    resets: int
    violations: list[Violation]
    complaints: list[str]
    live_s: float
    took_s: float

    @property
    def good(self) -> bool:
        return not self.violations and not self.complaints

    def count(self, *kinds: str) -> int:
        return sum(violation.kind in kinds for violation in self.violations)


async def act(
    faults: Sequence[Fault], seed: int, postgres: TestServer, tell: Tell = lambda _: None, *, services: int = 2
) -> Outcome:
    """Runs them on a stage of their own. What is not live again in time is a violation."""
    began_s, chance = time.monotonic(), random.Random(f"{seed} act")
    settings: dict[str, Any] = {"services": services}
    for fault in faults:
        settings |= fault.staged
    resets = frozenset[str]().union(*(fault.resets for fault in faults))
    complaints = frozenset[str]().union(*(fault.complaints for fault in faults))
    stuck: list[Violation] = []
    async with staged(seed, postgres, **settings) as stage:
        await asyncio.sleep(chance.uniform(*CALM_S))
        starts = [chance.uniform(0, SPREAD_S if len(faults) > 1 else 0) for _ in faults]
        lasts = [chance.uniform(*fault.lasts_s) for fault in faults]
        ends = await asyncio.gather(
            *[_one(stage, fault, after, last, tell) for fault, after, last in zip(faults, starts, lasts, strict=True)],
            return_exceptions=True,
        )
        for fault, end in zip(faults, ends, strict=True):
            # One fault's session may be another one's victim.
            if isinstance(end, psycopg2.Error) and any(other.writes_fail for other in faults if other is not fault):
                tell(f"{fault.name} was cut short: {str(end).strip().splitlines()[0]}")
            elif isinstance(end, BaseException):
                raise end
        allowed_s = max(fault.live_s for fault in faults)
        live_s = await _live(stage, stuck, allowed_s)
        if live_s > allowed_s:
            stuck.append(
                Violation("late", f"all were live again after {live_s:.1f} s, and {allowed_s:.0f} s are allowed")
            )
        tell(f"live again after {live_s:.1f} s")
        await asyncio.sleep(chance.uniform(*CALM_S))
        await stage.written()
        await _live(stage, stuck, allowed_s)
        truth = await stage.truth(resets)
        await stage.settled(truth)
        said = stage.complaints(complaints)
        if not any(fault.writes_fail for fault in faults):
            said += [f"an order's transaction failed: {line}" for writer in stage.writers for line in writer.failures]
        tell(f"warned of {', '.join(f'{event} ({times})' for event, times in stage.notices.items()) or 'nothing'}")
        received = [client.received for client in stage.clients]
        found = await asyncio.to_thread(violations, truth, received)
        return Outcome(
            " + ".join(fault.name for fault in faults),
            seed,
            sum(map(len, truth.commits.values())),
            sum(client.events for client in stage.clients),
            len(stage.clients),
            sum(client.connections for client in stage.clients),
            sum(isinstance(item, Reset) for one in received for item in one.items),
            [*stuck, *found],
            said,
            live_s,
            time.monotonic() - began_s,
        )


async def _one(stage: Stage, fault: Fault, after_s: float, lasts_s: float, tell: Tell) -> None:
    await asyncio.sleep(after_s)
    tell(f"{fault.name} begins")
    async with fault.during(stage):
        tell(f"{fault.name} lasts {lasts_s:.1f} s")
        await asyncio.sleep(lasts_s)
    tell(f"{fault.name} is over")


async def _live(stage: Stage, stuck: list[Violation], allowed_s: float) -> float:
    within_s = max(PATIENCE_S, 1.2 * allowed_s)
    try:
        return await stage.all_live(within_s)
    except TimeoutError:
        stuck.append(Violation("broken", f"not live again within {within_s:.0f} s: {stage.late()}"))
        return within_s


@contextmanager
def server(disk_bytes: int = 0, name: str = "pg18") -> Iterator[TestServer]:
    """A Postgres for one or many runs; with `disk_bytes` on a file system of its own, which only root can make."""
    with tempfile.TemporaryDirectory(prefix="orderstream-faults-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        if disk_bytes:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={disk_bytes},mode=755", "tmpfs", folder]
            subprocess.run(mount, check=True)
        try:
            with running(Path(folder), name) as started:
                yield started
        finally:
            if disk_bytes:
                subprocess.run(["umount", "-l", folder], check=True)


__all__ = ["CATALOGUE", "Outcome", "act", "server"]
