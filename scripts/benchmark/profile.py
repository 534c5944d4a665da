"""Where a server's CPU time goes, by part: samples of its Python stacks, taken by py-spy from outside."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmark.child import Child
from scripts.benchmark.results import Table, number

_PER_S = 100
_SHOWN_SHARE = 0.01
# The path in `serve (/home/me/orderstream/orderstream/cli.py:61)`; a library's is somewhere below lib/python3.
_FRAME = re.compile(r" \((.+?)(?::\d+)?\)$")
_OURS = re.compile(r"(?:^|/)(orderstream/.+\.py)$")
_LIBRARY = re.compile(r"lib/python3[^/]*/(?:(?:site|dist)-packages/)?([^/.]+)")
# What only starts the loop: in it is whatever the loop does without Python.
_OUTERMOST = frozenset({"orderstream/cli.py"})
LOOP = "uvloop, by itself"


# Where pip puts it.
_PY_SPY = Path(sys.executable).with_name("py-spy")


def missing() -> str | None:
    return None if _PY_SPY.exists() else "py-spy not installed"


class Profile:
    """`shares` of the samples by part, the largest first, once it was taken."""

    def __init__(self) -> None:
        self.shares: dict[str, float] = {}

    def read(self, stacks: str) -> None:
        """What `py-spy record --format raw` writes: a stack a line, from the outermost frame, and how often."""
        counts = Counter[str]()
        for line in stacks.splitlines():
            stack, _, count = line.rpartition(" ")
            counts[part_of(stack.split(";"))] += int(count)
        total = counts.total()
        self.shares = {part: count / total for part, count in counts.most_common()}

    def table(self, of: str, what: str, took_us: float) -> Table:
        """Of all that one of `what` took."""
        return Table(
            f"Where the CPU time of {of} goes",
            ["part", "%", f"µs per {what}"],
            [
                [f"`{part}`" if part.endswith(".py") else part, f"{share * 100:.1f}", number(share * took_us)]
                for part, share in self.shares.items()
                if share >= _SHOWN_SHARE
            ],
            f"By py-spy, in a run of its own, in which an {what} took {number(took_us)} µs of CPU in all, shared out "
            "by where the interpreter was. A part is the module of ours that was at work, with the libraries that it "
            "had at work, or a library that the loop called by itself; those below 1 % are left out.",
        )


def part_of(stack: list[str]) -> str:
    """Our module that was at work, or had a library at work; the library, where the loop called it by itself."""
    library = ""
    for frame in reversed(stack):
        found = _FRAME.search(frame)
        path = found[1] if found else ""
        ours, theirs = _OURS.search(path), _LIBRARY.search(path)
        if ours and ours[1] in _OUTERMOST:
            break
        if ours:
            return ours[1]
        if theirs and not library and theirs[1] not in ("asyncio", "uvloop"):
            library = theirs[1]
    return library or LOOP


@contextmanager
def taken_of(server: Child, folder: Path, core: int | None) -> Iterator[Profile]:
    """Samples while inside; the profile is complete after it."""
    profile, output = Profile(), folder / "profile.txt"
    command = [str(_PY_SPY), "record", "--pid", str(server.pids[0]), "--rate", str(_PER_S)]
    # Only who has the interpreter's lock: a thread that waits looks busy where py-spy cannot ask the kernel. And
    # without a halt for each sample, which would be a part of what is measured.
    command += ["--gil", "--nonblocking", "--format", "raw", "--full-filenames", "--output", str(output)]
    sampler = Child("py-spy", command, folder, core=core)
    try:
        sampler.wait_for(lambda: "Sampling process" in sampler.log.read_text(errors="replace"))
        yield profile
        sampler.interrupt()
        profile.read(output.read_text())
    finally:
        sampler.stop()
