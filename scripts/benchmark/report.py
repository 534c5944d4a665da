"""docs/benchmarks.md and its pictures, of the sections that were measured."""

import platform
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from scripts.benchmark.goals import GOALS
from scripts.benchmark.lab import POSTGRES, Lab, pace_ms
from scripts.benchmark.peers.choice import ALL
from scripts.benchmark.results import Goal, Section, Table, spread

_INTRODUCTION = """# What it costs, beside what it costs elsewhere

Written by `{command}`; run it on your own machine. Every figure was measured in this one run,
in rounds in which each thing takes its turn with those that it is compared with. A figure is the median of the rounds,
with the lowest and the highest in brackets (without: there was one round, or they agreed); a ratio is of figures of the
same round. The goals' rows are those of "orderstream" as it is served, alone.
"""

_CONDITIONS = """## How it was measured

- **orderstream** is `orderstream serve` as it is run, a process: a JWT for each user, limits, metrics and JSON log
  lines on (into a file), events from the project's own triggers on a real Postgres. Settings other than the defaults:
  `new_streams_per_s` (20,000, because a benchmark's clients come all at once), and what a scenario names. Where a
  scenario says "behind TLS", nginx stands in front as `config/nginx.conf` sets it up, two processes on the server's
  core; its CPU and memory are shown beside ours and not counted to ours, as those of a load balancer would not be.
  Elsewhere clients connect directly, to us and to the others alike.
- **The others** do less: none authenticates, limits, keeps metrics, numbers events, or gives a client that comes back
  what it missed, except Nchan, which keeps messages in memory. They get a row's change by NOTIFY for each row. Theirs
  is what can be set without changing how they work: uvloop, one process, a queue of 4,096 connections (uvicorn: 2,048).
  **Pushpin** asks a server of one's own before it holds a connection (GRIP), so it is measured in what it does itself:
  to hold (a) and to deliver (b), that server not counted. {missing}
- **Clients** are one process of `scripts/fleet`: raw sockets on one epoll; a thousand each come from an address of
  their own, so that the limits on addresses need not be raised. Clients of ours check each event's number;
  an event that is missing or comes twice is counted, and none may be.
- **Orders** have changed once before b, c, e, f, g and h measure. Those here are older than the service, and of such an
  order the past is asked for when it first changes, for the checks: once after a start, for at most 100 orders a step.
- **Cores**: {pinning}
- **Postgres** is the wheel's, with {postgres}; `fsync` and `synchronous_commit` are on; it has
  segments of WAL to write over, as one that has run for a while: to make a new one holds all commits up.

| | |
|---|---|
{machine}
"""


def write(lab: Lab, folder: Path, sections: Sequence[Section], command: str, notes: Sequence[str]) -> Path:
    """Writes both; returns the report's path."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    parts = [_INTRODUCTION.format(command=command)]
    parts += [f"**{note}**\n" for note in notes]
    reached = {goal: rounds for section in sections for goal, rounds in section.reached.items()}
    missed = sum(section.missed for section in sections)
    parts += ["## What was to be reached\n", of_goals(reached, missed)]
    for section in sections:
        parts += [f"## {section.title}\n", f"{section.how}\n"]
        parts += [_table(table) for table in section.tables]
        parts += [f"{note}\n" for note in section.notes]
        for name, picture in section.pictures.items():
            file = pictures / f"bench-{name}.svg"
            file.write_text(picture, encoding="utf-8")
            parts.append(f"![{_title(picture)}](pictures/{file.name})\n")
    parts.append(_conditions(lab))
    report = folder / "benchmarks.md"
    report.write_text("\n".join(parts), encoding="utf-8")
    return report


def of_goals(reached: Mapping[Goal, Sequence[float]], missed: int) -> str:
    """All of them, in a table, and what stands in the way of those not reached; `missed` are events of ours."""
    rows = [_goal(goal, reached.get(goal, ())) for goal in GOALS]
    rows.append(["", "events of ours missed, or sent twice, in all of it", "0", str(missed), _yes(missed == 0)])
    hard = [goal.hard for goal, rounds in reached.items() if rounds and goal.hard and not goal.is_reached(rounds)]
    why = ["What stands in the way of those that were not:\n", *(f"- {said}" for said in dict.fromkeys(hard)), ""]
    return "\n".join([_table(Table("", ["", "", "goal", "here", "reached"], rows)), *(why if hard else [])])


def _goal(goal: Goal, rounds: Sequence[float]) -> list[str]:
    here = f"{spread(rounds)} {goal.unit}" if rounds else "not measured"
    return [goal.scenario, goal.name, goal.wanted, here, _yes(goal.is_reached(rounds)) if rounds else "–"]


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "**no**"


def _table(table: Table) -> str:
    lines = [f"**{table.title}**\n"] if table.title else []
    lines += [_row(table.columns), "|" + "---|" * len(table.columns), *map(_row, table.rows), ""]
    if table.note:
        lines.append(f"{table.note}\n")
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _title(picture: str) -> str:
    found = re.search('aria-label="([^"]*)"', picture)
    return found[1] if found else ""


def _conditions(lab: Lab) -> str:
    absent = {peer.name: peer.missing() for peer in ALL}
    named = [f"**{name}** is missing: {why}." for name, why in absent.items() if why is not None]
    return _CONDITIONS.format(
        missing=" ".join(named),
        pinning=(
            f"servers and what feeds them on core {lab.server_core}; Postgres, writers and clients on core "
            f"{lab.other_core} (`taskset`)."
            if lab.is_pinned
            else "nothing is pinned: there is one core only, or no `taskset`."
        ),
        postgres=", ".join(f"`{key} = {value}`" for key, value in POSTGRES.items()),
        machine="\n".join(f"| {key} | {value} |" for key, value in _machine(lab).items()),
    )


def _machine(lab: Lab) -> Mapping[str, str]:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    postgres = lab.postgres
    told = subprocess.run([postgres.bin_path / "postgres", "--version"], capture_output=True, text=True, check=True)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{cpu[1] if cpu else platform.machine()}, {len(lab.cores)} cores used"
        + (f", {int(memory[1]) / 1048576:.0f} GB" if memory else ""),
        "load before it began": f"{lab.load_before:.1f}",
        "a million additions in Python": f"{lab.pace_before_ms:.0f} ms before, {pace_ms():.0f} ms after",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()}, uvloop {version('uvloop')}",
        "Postgres": told.stdout.strip().removeprefix("postgres (PostgreSQL) "),
        **{peer.name: peer.version() for peer in ALL if peer.missing() is None},
    }
