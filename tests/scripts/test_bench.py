"""`scripts/bench`, with small numbers: that it measures and writes what it measured, not how fast anything is."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmark import report
from scripts.benchmark.results import Results, at_least, at_most, spread

ROOT = Path(__file__).parents[2]


async def bench(*arguments: str) -> tuple[int, str]:
    """Its exit status, and what it said."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "scripts.benchmark", *arguments),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, said = await child.communicate()
    return child.returncode or 0, said.decode()


@pytest.mark.system
async def test_events_are_delivered_and_written_up(tmp_path: Path) -> None:
    """All of them, by a real service; peers that are not installed are named, and the report says that it was quick."""
    status, said = await bench("--only", "b", "--quick", "--output", str(tmp_path))
    assert status == 0, said
    written = (tmp_path / "benchmarks.md").read_text()
    assert "| events of ours missed, or sent twice, in all of it | 0 | 0 | yes |" in written
    assert "| orderstream | " in written.partition("**4,000 events, each to one of 400 users")[2]
    assert "**sse-starlette** is missing" in written
    assert "Small numbers (--quick)" in written


async def test_unknown_scenario_is_status_2() -> None:
    """With the letters that there are."""
    status, said = await bench("--only", "z")
    assert status == 2
    assert "'z': scenarios are a, b, c, d, e, f, g, h" in said.splitlines()[-1]


def test_ratio_is_of_figures_of_the_same_round() -> None:
    """Not of medians: what slows a round down slows both."""
    results = Results()
    for ours, theirs in ((10.0, 20.0), (40.0, 80.0), (30.0, 90.0)):
        results.add("ours", "µs", ours)
        results.add("theirs", "µs", theirs)
    assert spread(results.ratios("ours", "theirs", "µs")) == "0.50 (0.33–0.50)"


def test_event_that_was_missed_stands_in_the_report() -> None:
    """Whatever the goals were."""
    assert "| 0 | 3 | **no** |" in report.of_goals([], 3)


def test_goal_is_judged_by_the_median() -> None:
    """And there is none where nothing was measured."""
    missed, reached = at_most("age", 2.0, [1.0, 3.0, 4.0], "ms"), at_least("speed", 2.0, [1.0, 3.0, 4.0], "×")
    assert missed is not None
    assert not missed.is_reached
    assert reached is not None
    assert reached.is_reached
    assert at_most("age", 2.0, [], "ms") is None
