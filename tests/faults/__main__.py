"""`scripts/faults`: runs faults by name, or all of them in turn; ends with a table of what came and what did not."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from tests.faults import report
from tests.faults.catalogue import Fault
from tests.faults.run import CATALOGUE, Outcome, act, server
from tests.postgres.servers import NAMES, TestServer

_SHOWN = 12


def main() -> int:
    """0: all was kept; 1: something was not, a service logged errors, or a run failed; 2: asked for what cannot be."""
    asked = _arguments()
    if asked.list:
        for fault in CATALOGUE.values():
            print(f"{fault.name:28} {fault.says}")
        return 0
    if asked.services < 2 or (asked.write and asked.fault) or (asked.lasts is not None and not asked.fault):
        print("--services is two or more, --write takes all faults, and --lasts those of --fault", file=sys.stderr)
        return 2
    unknown = [name for name in asked.fault if name not in CATALOGUE]
    if unknown:
        print(f"no such fault: {', '.join(unknown)}; --list shows them all", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    seed = random.randrange(1 << 32) if asked.seed is None else asked.seed
    try:
        with _Servers(asked.postgres) as servers:
            for number, faults in enumerate(_plan(asked.fault, asked.lasts, asked.minutes, seed)):
                outcomes.append(_run(faults, seed + number, servers.of(faults), asked.services))
                print(f"   so far: {len(outcomes)} runs, {sum(one.received for one in outcomes):,} events", flush=True)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
    finally:
        print(report.table(outcomes))
    if asked.write:
        report.write(outcomes, asked.services, asked.postgres)
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="this one; several are run at once"
    )
    parser.add_argument("--lasts", type=float, metavar="S", help="with --fault: for so many seconds, not its own few")
    parser.add_argument("--minutes", type=float, default=0.0, help="go on for so long, in pairs once each had its turn")
    parser.add_argument("--seed", type=int, help="repeats what writers, clients and faults choose, one run a number")
    parser.add_argument("--postgres", choices=NAMES, default=NAMES[0])
    parser.add_argument("--services", type=int, default=3, metavar="N", help="two or more; default: 3")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument("--list", action="store_true", help="what there is")
    return parser.parse_args()


def _plan(names: Sequence[str], lasts: float | None, minutes: float, seed: int) -> Iterator[Sequence[Fault]]:
    """What is run, one stage each. All in turn and then pairs; or what was named, again and again."""
    until_s, chance = time.monotonic() + 60 * minutes, random.Random(f"{seed} plan")
    able = [fault for fault in CATALOGUE.values() if not fault.needs]
    for fault in CATALOGUE.values():
        if fault.needs:
            print(f"{fault.name}: left out, for want of {fault.needs}", file=sys.stderr)
    named = [CATALOGUE[name] for name in names]
    if lasts is not None:
        named = [fault._replace(lasts_s=(lasts, lasts)) for fault in named]
    if named:
        yield named
    else:
        yield from ([fault] for fault in able)
    shared = [fault for fault in able if not fault.private and not fault.alone]
    while time.monotonic() < until_s:
        yield named or chance.sample(shared, 2)


def _run(faults: Sequence[Fault], seed: int, postgres: TestServer, services: int) -> Outcome:
    began_s = time.monotonic()
    print(f"── {' + '.join(fault.name for fault in faults)} (--seed {seed})", flush=True)

    def tell(line: str) -> None:
        print(f"   {time.monotonic() - began_s:6.1f} s  {line}", flush=True)

    try:
        outcome = asyncio.run(act(faults, seed, postgres, tell, services=services))
    except Exception as error:  # noqa: BLE001  one that fails by itself is a row of its own, and the others have theirs
        names, why = (
            " + ".join(fault.name for fault in faults),
            f"the run itself failed: {type(error).__name__}: {error}",
        )
        outcome = Outcome(names, seed, 0, 0, 0, 0, 0, [], [why], 0.0, time.monotonic() - began_s)
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


sys.exit(main())
