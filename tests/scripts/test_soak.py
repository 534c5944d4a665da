"""`scripts/soak`: that it sees what grows, and that a short one runs to its end."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.fleet.tally import Ages, Tally
from scripts.soaking.flat import Points, Quantity, trend
from scripts.soaking.report import Soak
from scripts.soaking.watch import Look
from scripts.written import write_between

ROOT = Path(__file__).parents[2]
MEMORY = Quantity("memory", "MB", 5.0)
ROWS = Quantity("rows", "", 1500.0)


def series(start: float, per_minute: float, noise: float, minutes: int = 20) -> Points:
    """A look every ten seconds at what grows by so much, and is off by up to `noise` by chance."""
    chance = random.Random(7)
    return [
        (10.0 * n, start + per_minute * n / 6 + chance.uniform(-noise, noise)) for n in range(minutes * 6)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "points"),
    [
        (MEMORY, series(100, 0.4, 2)),
        (MEMORY, series(2000, 8, 50)),
        (ROWS, series(45_000, 150, 700)),
    ],
    ids=["4-MB-in-ten-minutes", "4-%-in-ten-minutes", "events-that-are-kept-for-ever"],
)
def test_leak_is_seen_through_the_noise(quantity: Quantity, points: Points) -> None:
    """As much as it is, too."""
    found = trend(quantity, points)
    assert not found.is_flat
    assert found.grew == pytest.approx(points[-1][1] - points[0][1], rel=0.3)


@pytest.mark.parametrize(
    ("quantity", "points"),
    [
        (MEMORY, series(100, 0, 10)),
        (MEMORY, series(2000, 3, 50)),
        (ROWS, [(10.0 * n, 45_000 + 150 * (7 * n % 60)) for n in range(120)]),
        (MEMORY, [(10.0 * n, 500.0 if n in (3, 117, 118) else 100.0) for n in range(120)]),
        (MEMORY, series(100, -3, 2)),
    ],
    ids=["noise", "1.5-%-in-ten-minutes", "saw-teeth", "a-few-looks-that-were-off", "less"],
)
def test_what_stays_as_it_is_is_no_leak(quantity: Quantity, points: Points) -> None:
    """However much it moves."""
    assert trend(quantity, points).is_flat


def test_leak_and_loss_are_called_wrong() -> None:
    """Each in a line, with what it was."""
    looks = [Look(at_s, {"memory": value}, Ages()) for at_s, value in series(100, 1, 0)]
    tally = Tally("sse")
    tally.lost = 3
    soak = Soak([MEMORY], looks, 0.0, [tally], 0, "")
    assert soak.wrong() == ["memory grew by 19.8 to 119.8, and 5.0 are allowed", "sse: 3 lost"]


@pytest.mark.system
async def test_short_soak_holds_what_the_long_one_does() -> None:
    """Streams and polls at two services, of which some come and go: nothing lost, nothing that grew, no complaint."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.soaking", "--minutes", "0.1", "--streams", "40", "--polls", "10"),
        *("--changes-per-s", "20", "--leave-per-s", "10"),
        env=os.environ,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    printed, said = (text.decode() for text in await child.communicate())
    assert (child.returncode, "WRONG" in printed) == (0, False), printed + said
    rows = {line.split(" | ")[0].strip("| ") for line in printed.splitlines() if line.startswith("| ")}
    assert {"service 2: memory", "service 1: tasks", "connections to Postgres", "events: size"} <= rows


async def test_unusable_number_is_a_line_and_status_2() -> None:
    """Before anything is started."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.soaking", "--minutes", "0"), cwd=ROOT, stderr=subprocess.PIPE
    )
    _, said = await child.communicate()
    assert (child.returncode, said.decode()) == (2, "scripts/soak: --minutes must be above 0\n")


def test_what_was_measured_replaces_what_stood_in_its_place(tmp_path: Path) -> None:
    """And nothing else; a document without a place for it is told."""
    document = tmp_path / "page.md"
    document.write_text("a\n<!-- written by x -->\nold\n<!-- until here -->\nb\n")
    write_between(document, "x", "new\n")
    assert document.read_text() == "a\n<!-- written by x -->\n\nnew\n\n<!-- until here -->\nb\n"
    with pytest.raises(ValueError, match="no place for y"):
        write_between(document, "y", "new")
