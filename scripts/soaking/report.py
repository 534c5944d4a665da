"""How a soak looked: Markdown for docs/reliability.md, and its pictures."""

import os
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from scripts.fleet.charts import line_chart
from scripts.fleet.tally import Tally
from scripts.soaking.flat import SHARE, Quantity, Trend, trend
from scripts.soaking.watch import Look

PICTURES = ("soak", "soak-latency")
# In the picture, what all services take together, in parts of what it is in the middle.
_DRAWN = ("memory", "tasks", "descriptors", "connections to Postgres", "events: rows", "events: size", "outbox: size")


class Soak(NamedTuple):
    """What was run, and what was seen. `looks` are all of them, `warm_s` from when on they count."""

    quantities: Sequence[Quantity]
    looks: Sequence[Look]
    warm_s: float
    tallies: Sequence[Tally]
    written: int
    said: str

    def trends(self) -> dict[str, Trend]:
        """Quantity -> how it went once it was warm. Raises ValueError where there is too little to say."""
        counted = [look for look in self.looks if look.at_s >= self.warm_s]
        if len(counted) < 3:
            raise ValueError(f"{len(counted)} looks after the warm-up say nothing about a trend: run it for longer")
        return {one.name: trend(one, [(look.at_s, look[one.name]) for look in counted]) for one in self.quantities}

    def wrong(self) -> list[str]:
        """A line for each thing that was not to be."""
        lines = [
            f"{name} grew by {found.grew:.1f} to {found.last:.1f}, and {found.allowed:.1f} are allowed"
            for name, found in self.trends().items()
            if not found.is_flat
        ]
        for tally in self.tallies:
            counts = {"lost": tally.lost, "repeated": tally.repeated, "reset": tally.resets, "failed": tally.errors}
            lines += [f"{tally.transport}: {count} {what}" for what, count in counts.items() if count]
            lines += [f"{tally.transport}: told goaway {reason}" for reason in tally.goaways]
        return lines

    def markdown(self) -> str:
        rows = []
        trends = self.trends()
        for one in self.quantities:
            found, unit = trends[one.name], f" {one.unit}" if one.unit else ""
            cells = (found.first, found.last, found.grew, found.allowed)
            rows.append(f"| {one.name} | {' | '.join(f'{_short(cell)}{unit}' for cell in cells)} |")
        lost, repeated, resets, errors = (
            sum(getattr(tally, name) for tally in self.tallies) for name in ("lost", "repeated", "resets", "errors")
        )
        p50_ms, p99_ms = (
            statistics.median(1000 * at_s for at_s in ages if at_s == at_s) for ages in zip(*self._ages(), strict=True)
        )
        events, today = sum(tally.events for tally in self.tallies), datetime.now(UTC).date()
        where = f"{os.cpu_count()} cores shared with others (load {os.getloadavg()[2]:.1f})"
        return "\n".join(
            [
                f"On {today}, {where}: {self.said} {self.written:,} changes were written, {events:,} events told: "
                f"{lost} lost, {repeated} twice, {resets} resets, {errors} errors. In the middle one of "
                f"{len(self.looks)} looks, events were {p50_ms:.1f} ms old at the client (p50), and "
                f"{p99_ms:.1f} ms (p99).",
                "",
                "| | when warm | at the end | grew by | allowed |",
                "|---|--:|--:|--:|--:|",
                *rows,
                "",
                f"The first {self.warm_s / 60:.2g} minutes do not count: until then what is kept becomes more. What "
                "grew is the median of the slopes between any two looks, over all the time that counts; allowed are "
                f"{SHARE:.0%} in ten minutes, or what it moves by anyway.",
                "",
                "![What it takes, over time](pictures/soak.svg)",
                "![Age of events at the client, over time](pictures/soak-latency.svg)",
            ]
        )

    def pictures(self) -> Mapping[str, str]:
        """Name -> SVG."""
        takes = {
            name: [(look.at_s / 60, value) for look, value in zip(self.looks, self._relative(name), strict=True)]
            for name in _DRAWN
        }
        ages = {
            name: [(look.at_s / 60, at_s * 1000) for look, at_s in zip(self.looks, series, strict=True) if at_s == at_s]
            for name, series in zip(("p50", "p99"), zip(*self._ages(), strict=True), strict=True)
        }
        return {
            "soak": line_chart("What it takes", "minutes", "× of what it is in the middle", takes),
            "soak-latency": line_chart("Age at the client", "minutes", "ms", ages, log_y=True),
        }

    def _ages(self) -> list[tuple[float, float]]:
        return [(look.p50_s, look.p99_s) for look in self.looks]

    def _relative(self, name: str) -> list[float]:
        values = [sum(value for key, value in look.items() if key.endswith(name)) for look in self.looks]
        middle = statistics.median(values)
        return [value / middle if middle else 1.0 for value in values]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"
