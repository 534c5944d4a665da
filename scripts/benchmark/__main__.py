"""scripts/bench: the arguments, one scenario after the other, and the report."""

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import psycopg2

from orderstream.errors import OperatorError
from scripts.benchmark import report
from scripts.benchmark.child import Trouble
from scripts.benchmark.lab import Lab
from scripts.benchmark.results import Section
from scripts.benchmark.scenarios import cores, fanout, growth, idle, latency, polls, storm, writes

_ROOT = Path(__file__).parents[2]
_SCENARIOS = {
    "a": idle,
    "b": fanout,
    "c": latency,
    "d": writes,
    "e": storm,
    "f": polls,
    "g": growth,
    "h": cores,
}
_BUSY = 0.7


def _description() -> str:
    lines = [f"  {letter}  {_said_first(module)}" for letter, module in _SCENARIOS.items()]
    return "\n".join(
        [
            "Measures orderstream beside its peers, on this machine, and writes docs/benchmarks.md with its pictures.",
            "",
            "It wants two cores for itself. The scenarios:",
            "",
            *lines,
        ]
    )


def _said_first(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0]


_EPILOG = """examples:
  scripts/bench                     all of it
  scripts/bench --only a,b          two scenarios
  scripts/bench --quick             a tenth of the sizes: whether it works, not how fast it is

Peers that cannot be installed are named as missing in the report. The exit status is 1 where an event of ours was
missed, or a scenario could not be measured; a goal that is not reached is in the report and changes nothing here."""


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=_description(),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="a,b,…", type=_letters, default=tuple(_SCENARIOS), help="these scenarios")
    parser.add_argument("--quick", action="store_true", help="small numbers, one round")
    parser.add_argument("--rounds", type=int, choices=range(1, 10), metavar="N", help="default 3; with --quick 1")
    parser.add_argument("--output", type=Path, default=_ROOT / "docs", metavar="FOLDER", help="default: docs")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs, and say where it is")
    return parser.parse_args(arguments)


def _letters(text: str) -> tuple[str, ...]:
    letters = tuple(letter for letter in text.split(",") if letter)
    unknown = [letter for letter in letters if letter not in _SCENARIOS]
    if unknown or not letters:
        raise argparse.ArgumentTypeError(f"{text!r}: scenarios are {', '.join(_SCENARIOS)}")
    return tuple(letter for letter in _SCENARIOS if letter in letters)


def main(arguments: Sequence[str]) -> int:
    chosen = _arguments(arguments)
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    command = shlex.join(["scripts/bench", *arguments])
    folder = Path(tempfile.mkdtemp(prefix="orderstream-bench-", dir="/tmp"))
    # Postgres, and nginx's worker, run as somebody else where we are root.
    folder.chmod(0o755)
    lab = Lab(folder, quick=chosen.quick, rounds=rounds)
    try:
        return _measure(lab, chosen, command)
    except KeyboardInterrupt:
        lab.say("stopped; what was measured so far is written")
        return 130
    finally:
        lab.close()
        if chosen.keep:
            lab.say(f"logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _measure(lab: Lab, chosen: argparse.Namespace, command: str) -> int:
    sections: list[Section] = []
    notes = []
    if lab.load_before > _BUSY:
        notes.append(
            f"The machine was busy (load {lab.load_before:.1f} before it began): others took a part of its cores."
        )
    if chosen.quick:
        notes.append("Small numbers (--quick): this shows that it works, and not how fast it is.")
    if left_out := [letter for letter in _SCENARIOS if letter not in chosen.only]:
        notes.append(f"Scenarios {', '.join(left_out)} were left out of this run.")
    for letter in chosen.only:
        module = _SCENARIOS[letter]
        lab.say(f"{letter}. {_said_first(module)}")
        try:
            sections.append(module.run(lab))
        except (Trouble, OperatorError, OSError, psycopg2.Error) as trouble:
            lab.say(f"  not measured: {trouble}")
            lab.troubles.append(f"{letter} was not measured: {trouble}")
        # Each time: whatever happens to the next, what was measured is kept.
        written = report.write(lab, chosen.output, sections, command, [*notes, *lab.troubles])
    missed = sum(section.missed for section in sections)
    lab.say(f"wrote {written}" + (f"; {missed} events of ours were missed" if missed else ""))
    return 1 if lab.troubles or missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
