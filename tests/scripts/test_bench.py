"""`scripts/bench`, with small numbers: that it measures and writes what it measured, not how fast anything is."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmark import goals, report
from scripts.benchmark.__main__ import main
from scripts.benchmark.profile import LOOP, part_of
from scripts.benchmark.results import Goal, Results, spread

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
    for who in ("orderstream", "orderstream, another process numbers", "bare write() loop"):
        assert f"| {who} | " in written.partition("**1,000 events, each to one of 200 users")[2]
    assert "**sse-starlette** is missing" in written
    assert "Small numbers (--quick)" in written


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--only", "z"), "argument --only: 'z': scenarios are a, b, c, d, e, f, g, h"),
        (("--rounds", "0"), "argument --rounds: '0' is no number from 1 to 9"),
        (("--output", __file__), f"argument --output: {__file__}: File exists"),
    ],
)
def test_argument_that_cannot_be_is_status_2_and_a_line(
    arguments: tuple[str, str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"scripts/bench: {complaint}\n"


_LOOP = ["main (/o/orderstream/cli.py:9)", "invoke (/v/lib/python3.11/site-packages/click/core.py:7)"]
_LOOP += ["serve (/o/orderstream/cli.py:81)", "run (/v/lib/python3.11/site-packages/uvloop/__init__.py:91)"]


@pytest.mark.parametrize(
    ("inner", "part"),
    [
        ([], LOOP),
        (["run (/usr/lib/python3.11/asyncio/runners.py:190)"], LOOP),
        (["_ready (/v/lib/python3.11/site-packages/aiopg/connection.py:12)"], "aiopg"),
        (["publish (/o/orderstream/hub.py:20)", "append (/o/orderstream/core/log.py:3)"], "orderstream/core/log.py"),
        (
            [
                "step (/o/orderstream/postgres/sequencer.py:7)",
                "execute (/v/lib/python3.11/site-packages/aiopg/cursor.py:1)",
            ],
            "orderstream/postgres/sequencer.py",
        ),
    ],
)
def test_cpu_time_is_that_of_our_innermost_module(inner: list[str], part: str) -> None:
    """What a library did for it too; a library's own where the loop called it."""
    assert part_of([*_LOOP, *inner]) == part


def test_ratio_is_of_figures_of_the_same_round() -> None:
    """Not of medians: what slows a round down slows both."""
    results = Results()
    for number, (ours, theirs) in zip(results.rounds(3), ((10.0, 20.0), (40.0, 80.0), (30.0, 90.0)), strict=True):
        if number != 2:
            # In the second round it could not be measured.
            results.add("ours", "µs", ours)
        results.add("theirs", "µs", theirs)
    assert spread(results.ratios("ours", "theirs", "µs")) == "0.42 (0.33–0.50)"


def test_event_that_was_missed_stands_in_the_report() -> None:
    """Whatever the goals were."""
    assert "| 0 | 3 | **no** |" in report.of_goals({}, 3)


def test_goal_is_judged_by_the_median() -> None:
    """The limit itself is good enough."""
    assert not Goal("c", "age", "≤", 2.0, "ms").is_reached([1.0, 3.0, 4.0])
    assert Goal("c", "age", "≤", 3.0, "ms").is_reached([1.0, 3.0, 4.0])
    assert Goal("b", "speed", "≥", 2.0, "×").is_reached([1.0, 3.0, 4.0])


def test_what_stands_in_the_way_of_a_goal_is_said_where_it_is_not_reached() -> None:
    """Once, whatever it stands in the way of."""
    of_goals = report.of_goals({goals.P50: [3.0], goals.P50_TO_FLOOR: [4.0], goals.STORM_S: [3.0]}, 0)
    assert of_goals.count(goals.P50.hard) == 1
    assert goals.STORM_S.hard not in of_goals


def test_every_goal_stands_in_the_report() -> None:
    """Where it was not measured too."""
    table = report.of_goals({goals.MEMORY: [2.0, 3.0]}, 0)
    assert "| a | memory per idle stream | ≤ 2.50 KB | 2.50 (2–3) KB | yes |" in table
    assert table.count("| not measured | – |") == len(goals.GOALS) - 1
    assert len(set(goals.GOALS)) == len(goals.GOALS)
