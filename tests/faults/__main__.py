"""`scripts/faults`: runs faults by name, or all of them in turn; ends with a table of what came and what did not."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from tests.faults.catalogue import Fault
from tests.faults.history import KINDS
from tests.faults.run import CATALOGUE, Outcome, act, server
from tests.postgres.servers import NAMES, TestServer

_COLUMNS = (
    *("faults", "seed", "changes", "events", "connections", "resets"),
    *("lost", "twice", "misordered", "other", "live after"),
)
_TABLED = ("lost", "duplicated", "misordered")
_OTHER = tuple(kind for kind in KINDS if kind not in _TABLED)
_SHOWN = 12


def main() -> int:
    """0: all was kept; 1: something was not, or services logged errors; 2: asked for what cannot be done."""
    asked = _arguments()
    if asked.list:
        for fault in CATALOGUE.values():
            print(f"{fault.name:28} {fault.says}")
        return 0
    unknown = [name for name in asked.fault if name not in CATALOGUE]
    if unknown:
        print(f"no such fault: {', '.join(unknown)}; --list shows them all", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    seed = random.randrange(1 << 32) if asked.seed is None else asked.seed
    try:
        with _Servers(asked.postgres) as servers:
            for number, faults in enumerate(_plan(asked.fault, asked.minutes, seed)):
                outcomes.append(_run(faults, seed + number, servers.of(faults)))
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
    finally:
        _table(outcomes)
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="this one; several are run at once"
    )
    parser.add_argument("--minutes", type=float, default=0.0, help="go on for so long, in pairs once each had its turn")
    parser.add_argument("--seed", type=int, help="repeats what writers, clients and faults choose, one run a number")
    parser.add_argument("--postgres", choices=NAMES, default=NAMES[0])
    parser.add_argument("--list", action="store_true", help="what there is")
    return parser.parse_args()


def _plan(names: Sequence[str], minutes: float, seed: int) -> Iterator[Sequence[Fault]]:
    """What is run, one stage each. All in turn and then pairs; or what was named, again and again."""
    until_s, chance = time.monotonic() + 60 * minutes, random.Random(f"{seed} plan")
    able = [fault for fault in CATALOGUE.values() if not fault.needs]
    for fault in CATALOGUE.values():
        if fault.needs:
            print(f"{fault.name}: left out, for want of {fault.needs}", file=sys.stderr)
    if names:
        yield [CATALOGUE[name] for name in names]
    else:
        yield from ([fault] for fault in able)
    shared = [fault for fault in able if not fault.private and not fault.alone]
    while time.monotonic() < until_s:
        yield [CATALOGUE[name] for name in names] if names else chance.sample(shared, 2)


def _run(faults: Sequence[Fault], seed: int, postgres: TestServer) -> Outcome:
    began_s = time.monotonic()
    print(f"── {' + '.join(fault.name for fault in faults)} (--seed {seed})", flush=True)

    def tell(line: str) -> None:
        print(f"   {time.monotonic() - began_s:6.1f} s  {line}", flush=True)

    outcome = asyncio.run(act(faults, seed, postgres, tell))
    tell(f"{outcome.committed} changes, {outcome.received} events to {outcome.clients} clients")
    # What a service said of itself explains what its clients missed.
    for line in [*outcome.complaints, *(f"{kind}: {line}" for kind, line in outcome.violations)][:_SHOWN]:
        tell(line[:600])
    return outcome


class _Servers(ExitStack):
    """One Postgres for all runs, and one more for each that spoils it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._shared: TestServer | None = None

    def of(self, faults: Sequence[Fault]) -> TestServer:
        if any(fault.private for fault in faults):
            return self.enter_context(server(max(fault.disk_bytes for fault in faults), self._name))
        self._shared = self._shared or self.enter_context(server(0, self._name))
        return self._shared


def _table(outcomes: Sequence[Outcome]) -> None:
    rows = [
        (
            *(outcome.faults, outcome.seed, outcome.committed, outcome.received),
            *(outcome.connections, outcome.resets),
            *(outcome.count(kind) for kind in _TABLED),
            outcome.count(*_OTHER) + len(outcome.complaints),
            f"{outcome.live_s:.1f} s",
        )
        for outcome in outcomes
    ]
    sums = [sum(int(row[column]) for row in rows) for column in range(2, 10)]
    rows.append((f"{len(rows)} runs", "", *sums, ""))
    for row in (_COLUMNS, ["---"] * len(_COLUMNS), *rows):
        print(f"| {' | '.join(map(str, row))} |")


sys.exit(main())
