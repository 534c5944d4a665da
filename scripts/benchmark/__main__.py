"""scripts/bench: the arguments, one scenario after the other, and the report."""

import argparse
import math
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

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
# What each took with three rounds, on two cores of an EPYC.
_MINUTES = {"a": 3.6, "b": 4.0, "c": 4.7, "d": 4.0, "e": 3.0, "f": 1.2, "g": 3.0, "h": 0.8}
# The others have a round less.
_SHORT = "bd"
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
  scripts/bench --only a,b          two scenarios; the report has these, and says of the others' goals "not measured"
  scripts/bench --only b --profile  what an event costs, and which part of the service takes how much of it
  scripts/bench --rounds 1          less than half of the time, without a spread
  scripts/bench --quick --output /tmp/bench
                                    a tenth of the sizes: whether it works, not how fast it is

It measures in rounds that take turns, one thing of ours and of each peer in each, and shows medians with the lowest
and the highest; CPU is what the kernel counts for the server, so that it can be compared where other things run too.
Start it on a machine that does nothing else all the same: latencies and updates a second are by the clock.

Peers are installed into .venv-bench, nginx by apt-get where we may; those that cannot be had are named as missing in
the report. The exit status is 0 when all was measured, 1 where an event of ours was missed or something could not be
measured, 2 for arguments that cannot be; a goal that is not reached is in the report and changes nothing here."""


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _OneLine(
        prog="scripts/bench",
        description=_description(),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", metavar="a,b,…", type=_letters, default=tuple(_SCENARIOS), help="these scenarios; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="small numbers, one round")
    parser.add_argument(
        "--profile", action="store_true", help="in b and f also: which part of ours the CPU time goes to"
    )
    parser.add_argument(
        "--rounds",
        type=_rounds,
        metavar="N",
        help="1 to 9, and one fewer, if there are several, for a, c and e to h, which take long; default: 3, with "
        "--quick 1",
    )
    parser.add_argument(
        "--output",
        type=_folder,
        default=_ROOT / "docs",
        metavar="FOLDER",
        help="for benchmarks.md and pictures/; default: docs",
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs, and say where it is")
    return parser.parse_args(arguments)


class _OneLine(argparse.ArgumentParser):
    """What is wrong is said in a line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _letters(text: str) -> tuple[str, ...]:
    letters = tuple(letter for letter in text.split(",") if letter)
    unknown = [letter for letter in letters if letter not in _SCENARIOS]
    if unknown or not letters:
        raise argparse.ArgumentTypeError(f"{text!r}: scenarios are {', '.join(_SCENARIOS)}")
    return tuple(letter for letter in _SCENARIOS if letter in letters)


def _rounds(text: str) -> int:
    if text not in map(str, range(1, 10)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 9")
    return int(text)


def _folder(text: str) -> Path:
    """Made now: an hour later is no time to hear that it cannot be."""
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text}: may not be written to")
    return folder


def main(arguments: Sequence[str]) -> int:
    chosen = _arguments(arguments)
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    command = shlex.join(["scripts/bench", *arguments])
    # Like Ctrl-C, so that what was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="orderstream-bench-", dir="/tmp"))
    # Postgres, and nginx's worker, run as somebody else where we are root.
    folder.chmod(0o755)
    lab = Lab(folder, quick=chosen.quick, rounds=rounds, profile=chosen.profile)
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
    for number, letter in enumerate(chosen.only):
        module = _SCENARIOS[letter]
        lab.say(f"{letter}. {_said_first(module)}{_left(lab, chosen.only[number:])}")
        try:
            sections.append(module.run(lab))
        # A ValueError: of a figure that others go by, and that could not be measured.
        except (Trouble, OperatorError, OSError, ValueError, psycopg2.Error) as trouble:
            lab.say(f"  not measured: {trouble}")
            lab.troubles.append(f"{letter} was not measured: {trouble}")
        # Each time: whatever happens to the next, what was measured is kept.
        written = report.write(lab, chosen.output, sections, command, [*notes, *lab.troubles])
    missed = sum(section.missed for section in sections)
    lab.say(f"wrote {written}" + (f"; {missed} events of ours were missed" if missed else ""))
    return 1 if lab.troubles or missed else 0


def _left(lab: Lab, letters: Sequence[str]) -> str:
    minutes = sum(_MINUTES[at] * (lab.rounds / 3 if at in _SHORT else lab.long_rounds / 2) for at in letters)
    return "" if lab.quick else f" About {math.ceil(minutes)} minutes to go."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
