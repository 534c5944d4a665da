"""scripts/soak: the arguments, the run, and what is said of it."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg2

from orderstream.errors import OperatorError
from scripts.benchmark.child import Trouble
from scripts.loading import users
from scripts.loading.run import Plan, Run
from scripts.loading.screen import Progress
from scripts.loading.users import Unusable
from scripts.loading.writers import TableWriter
from scripts.soaking.report import Soak
from scripts.soaking.stage import LOG_MAX_EVENTS, Stage, staged
from scripts.soaking.watch import Watch, quantities
from scripts.written import write_between

_ROOT = Path(__file__).parents[2]
DOCUMENT = _ROOT / "docs/reliability.md"
# How much of the time does not count, and for how much of it events are kept: twice, before it counts.
_WARM_UP, _KEPT = 1 / 3, 1 / 6
_LOOKS, _LEAST_APART_S = 180, 0.2
_LEAST_KEPT_S = 1.0
# As much of the rate must be held, or it was not at that rate that nothing grew; at the end it may be late by a moment.
_HELD, _LATE_S = 0.95, 2.0

_DESCRIPTION = """Starts a Postgres and services, holds streams and polls against them while orders change and streams
come and go, and looks at what all of it takes: memory, tasks, descriptors, connections, rows and the size of tables.
Nothing of that may grow once it is warm, and nothing may be lost: else the exit status is 1; 2 where it could not be
run."""


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=_DESCRIPTION)
    parser.add_argument("--minutes", type=float, default=30.0, help="default: 30; a third of it is to become warm")
    parser.add_argument("--streams", type=int, default=10_000, help="default: 10000, each of another user")
    parser.add_argument("--polls", type=int, default=500, help="long-polls, of the same users; default: 500")
    parser.add_argument("--services", type=int, default=2, help="default: 2")
    parser.add_argument("--changes-per-s", type=float, default=100.0, help="of orders; default: 100")
    parser.add_argument("--leave-per-s", type=float, default=20.0, help="streams that go and come back; default: 20")
    parser.add_argument("--write", action="store_true", help="put what came of it into docs/reliability.md")
    chosen = parser.parse_args(arguments)
    for name in ("minutes", "streams", "services", "changes_per_s", "leave_per_s"):
        if not getattr(chosen, name) > 0:
            parser.exit(2, f"scripts/soak: --{name.replace('_', '-')} must be above 0\n")
    return chosen


def main(arguments: Sequence[str]) -> int:
    chosen = _arguments(arguments)
    kept_s = max(_LEAST_KEPT_S, 60 * chosen.minutes * _KEPT)
    with tempfile.TemporaryDirectory(prefix="orderstream-soak-", dir="/tmp") as name:
        folder = Path(name)
        # Postgres runs as somebody else where we are root.
        folder.chmod(0o755)
        try:
            with staged(folder, chosen.services, kept_s) as stage:
                return _soak(chosen, stage, kept_s)
        except (Trouble, Unusable, OperatorError, ValueError, OSError, psycopg2.Error) as error:
            print(f"scripts/soak: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 2


def _soak(chosen: argparse.Namespace, stage: Stage, kept_s: float) -> int:
    duration_s = 60 * chosen.minutes
    ramp_up_s = min(60.0, duration_s / 6)
    streaming = users.by_secret(stage.secret, chosen.streams, "soak-", 2 * duration_s + 600)
    writer = TableWriter(stage.dsn, streaming, chosen.changes_per_s)
    writer.prepare()
    plan = Plan(chosen.streams, chosen.polls, ramp_up_s, duration_s - ramp_up_s, chosen.leave_per_s)
    run = Run([service.target for service in stage.services], plan, streaming, writer.offset_s)
    watch, progress = Watch(stage, run.tallies, max(_LEAST_APART_S, duration_s / _LOOKS)), Progress()
    watch.start()
    try:
        run.go(writer, progress)
    finally:
        watch.stop()
        progress.end()
    said = (
        f"{chosen.streams:,} streams and {chosen.polls:,} polls at {chosen.services} services for "
        f"{chosen.minutes:g} minutes, {chosen.changes_per_s:g} changes of orders a second, {chosen.leave_per_s:g} "
        f"streams a second that leave and come back with their cursor; events are kept for {kept_s:g} s, and in "
        f"memory {LOG_MAX_EVENTS} of each user."
    )
    looks = [look for look in watch.looks if look.at_s <= duration_s]
    soak = Soak(
        quantities(chosen.services, chosen.changes_per_s),
        looks,
        duration_s * _WARM_UP,
        run.tallies,
        writer.written,
        said,
    )
    wrong = soak.wrong() + [line for service in stage.services for line in service.complaints()]
    asked = chosen.changes_per_s * plan.duration_s
    if asked * _HELD - chosen.changes_per_s * _LATE_S > writer.written:
        wrong.append(
            f"{writer.written} changes were written instead of {asked:.0f}: this machine does not hold the rate"
        )
    wrong += [f"{run.unasked} users could not be asked for at the end"] if run.unasked else []
    wrong += [
        f"{who} ended: {trouble}"
        for who, trouble in (("writing", writer.trouble), ("watching", watch.trouble))
        if trouble
    ]
    print(soak.markdown())
    if chosen.write:
        write_between(DOCUMENT, "scripts/soak", soak.markdown())
        for name, picture in soak.pictures().items():
            (DOCUMENT.parent / f"pictures/{name}.svg").write_text(picture, encoding="utf-8")
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
