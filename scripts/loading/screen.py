"""What is shown: a line while it runs, then a table and a picture."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.fleet.charts import line_chart
from scripts.fleet.tally import QUANTILES, Ages, Tally

_BAR = 40
_EVERY_S = 0.5
_EVERY_PLAIN_S = 5.0


class Progress:
    """One line on standard error that is written over; where that is no terminal, a line now and then."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._due = 0.0
        self._is_terminal = sys.stderr.isatty()

    def show(self, tallies: Sequence[Tally], written: int | None, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if now < self._due and not at_once:
            return
        self._due = now + (_EVERY_S if self._is_terminal else _EVERY_PLAIN_S)
        parts = [f"{now - self._began:5.0f} s"]
        for tally in tallies:
            age_ms = tally.ages.quantile(0.5) * 1000
            shown = "" if math.isnan(age_ms) else f", p50 {age_ms:.1f} ms"
            faults = f", {tally.lost} LOST" if tally.lost else ""
            parts.append(f"{tally.transport}: {tally.open} open, {tally.events} events{shown}{faults}")
        if written is not None:
            parts.append(f"{written} written")
        line = "   ".join(parts)
        print(f"\r{line}\033[K" if self._is_terminal else line, end="" if self._is_terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        if self._is_terminal:
            print(file=sys.stderr)


def table(tallies: Sequence[Tally], clients: Mapping[str, int]) -> str:
    """A row for each transport: ages in ms, and what went wrong."""
    heads = ["", "clients", "events", *(f"{name} ms" for name in QUANTILES), "lost", "repeated", "resets", "errors"]
    rows = [heads]
    for tally in tallies:
        ages = [tally.ages.quantile(share) * 1000 for share in QUANTILES.values()]
        rows.append(
            [
                tally.transport,
                f"{clients[tally.transport]}",
                f"{tally.events}",
                *("-" if math.isnan(age_ms) else f"{age_ms:.1f}" for age_ms in ages),
                *(str(count) for count in (tally.lost, tally.repeated, tally.resets, tally.errors)),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def troubles(tallies: Sequence[Tally]) -> list[str]:
    """In words, what the columns of errors are made of."""
    lines = []
    for tally in tallies:
        said = [f"{count} answered {status}" for status, count in sorted(tally.refused.items())]
        said += [f"{count} told goaway {reason}" for reason, count in sorted(tally.goaways.items())]
        said += [f"{tally.broken} broke off or could not connect"] if tally.broken else []
        if said:
            lines.append(f"{tally.transport}: {', '.join(said)}")
    return lines


def bars(tally: Tally) -> str:
    """How many events were how old, in steps of 1, 2, 5."""
    curve = list(tally.ages.curve())
    if not curve:
        return ""
    edges_ms = [digit * 10.0**power for power in range(-1, 5) for digit in (1, 2, 5)]
    shares, before = [], 0.0
    for edge_ms in edges_ms:
        below = max((share for age_s, share in curve if age_s * 1000 <= edge_ms), default=0.0)
        shares.append(below - before)
        before = below
    shown = [index for index, share in enumerate(shares) if share > 0]
    if not shown:
        return ""
    lines = [f"{tally.transport}: age at the client"]
    for index in range(shown[0], shown[-1] + 1):
        bar = "█" * round(shares[index] * _BAR / max(shares))
        lines.append(f"{'≤ ' + format(edges_ms[index], 'g') + ' ms':>12} {shares[index]:6.1%} {bar}")
    return "\n".join(lines)


def plot(tallies: Sequence[Tally], path: Path) -> None:
    """The share of events that were no older, as SVG."""
    lines = {tally.transport: _curve(tally.ages) for tally in tallies}
    picture = line_chart("Age at the client", "ms", "% of events", lines, log_x=True)
    path.write_text(picture, encoding="utf-8")


def _curve(ages: Ages) -> list[tuple[float, float]]:
    return [(age_s * 1000, share * 100) for age_s, share in ages.curve()]
