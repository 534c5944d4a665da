"""What came of many runs: a table to look at, and the one of docs/reliability.md."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from scripts.written import write_between
from tests.faults.history import KINDS
from tests.faults.run import CATALOGUE, Outcome

DOCUMENT = Path(__file__).parents[2] / "docs/reliability.md"
_TABLED = ("lost", "duplicated", "misordered")
_OTHER = tuple(kind for kind in KINDS if kind not in _TABLED)
_COUNTED = ("changes", "events", "connections", "lost", "twice", "misordered", "other")


def table(outcomes: Sequence[Outcome]) -> str:
    """A row a run, with its seed, and their sum."""
    rows = [(one.faults, f"{one.seed}", *_shown(_counts(one)), f"{one.live_s:.1f} s") for one in outcomes]
    return _table(("faults", "seed", *_COUNTED, "live after"), [*rows, (f"{len(rows)} runs", "", *_sum(outcomes), "")])


def write(outcomes: Sequence[Outcome], services: int, postgres: str) -> None:
    """A row a fault, one for all pairs, and their sum. Raises ValueError where the document has no place for it."""
    write_between(DOCUMENT, "scripts/faults", matrix(outcomes, services, postgres))


def matrix(outcomes: Sequence[Outcome], services: int, postgres: str) -> str:
    """The same, as Markdown."""
    alone = {one.faults: one for one in outcomes if one.faults in CATALOGUE}
    rows = []
    for fault in CATALOGUE.values():
        found = alone.get(fault.name)
        cells = ("-",) * (len(_COUNTED) + 1) if found is None else (*_shown(_counts(found)), f"{found.live_s:.1f} s")
        says = fault.says if found is not None else f"{fault.says} *Not run: {fault.needs or 'stopped before'}.*"
        rows.append((f"`{fault.name}`", says, *cells))
    pairs = [one for one in outcomes if one.faults not in CATALOGUE]
    if pairs:
        slowest_s = max(one.live_s for one in pairs)
        told = "two at random times, mostly at once"
        rows.append((f"{len(pairs)} pairs of them", told, *_sum(pairs), f"{slowest_s:.1f} s at most"))
    rows.append(("together", "", *_sum(outcomes), ""))
    changes, events = (sum(_counts(one)[column] for one in outcomes) for column in (0, 1))
    minutes = sum(one.took_s for one in outcomes) / 60
    where = (
        f"Postgres {postgres.removeprefix('pg')}, {services} services, {os.cpu_count()} cores that other work shared"
    )
    intro = (
        f"On {datetime.now(UTC).date()}, {where} (load {os.getloadavg()[2]:.1f}), in {minutes:.0f} minutes: "
        f"{changes:,} committed changes, {events:,} events received."
    )
    return f"{intro}\n\n{_table(('fault', 'what happens', *_COUNTED, 'live after'), rows)}"


def _counts(one: Outcome) -> tuple[int, ...]:
    wrong = (*(one.count(kind) for kind in _TABLED), one.count(*_OTHER) + len(one.complaints))
    return one.committed, one.received, one.connections, *wrong


def _sum(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    return _shown([sum(column) for column in zip(*map(_counts, outcomes), strict=True)] or [0] * len(_COUNTED))


def _shown(counts: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in counts)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rules = ["---" if head in ("fault", "faults", "what happens") else "--:" for head in heads]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rules, *rows))
