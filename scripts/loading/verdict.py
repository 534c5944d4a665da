"""Limits that a run must keep, as they are given on the command line, and whether it did."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.fleet.tally import QUANTILES, Tally

TRANSPORTS = ("sse", "poll")
_LIMIT = re.compile(r"^(?:(sse|poll)\.)?(p50|p90|p99|p99\.9|max|errors)=([0-9]+(?:\.[0-9]+)?)(ms|s)?$")


@dataclass(frozen=True)
class Limit:
    """`most` is in seconds for a quantile of ages, else a count; `transport` None: of each."""

    transport: str | None
    name: str
    most: float
    text: str


def parse(text: str) -> Limit:
    """`p99=50ms`, `poll.max=2s`, `errors=0`; raises ValueError."""
    found = _LIMIT.match(text)
    if found is None or (found[2] == "errors") != (found[4] is None):
        raise ValueError(
            f"{text!r} is no limit: p50, p90, p99, p99.9 or max, as in p99=50ms or poll.max=2s; or errors=0"
        )
    return Limit(found[1], found[2], float(found[3]) * (0.001 if found[4] == "ms" else 1.0), text)


def missed(limits: Sequence[Limit], tallies: Sequence[Tally]) -> list[str]:
    """A line for each that was not kept; one without a single event to judge by was not, either."""
    lines = []
    for limit in limits:
        for tally in tallies:
            if limit.transport not in (None, tally.transport):
                continue
            reached = tally.errors if limit.name == "errors" else tally.ages.quantile(QUANTILES[limit.name])
            if math.isnan(reached):
                lines.append(f"limit {limit.text}: no event came by {tally.transport} whose age could be told")
            elif reached > limit.most:
                shown = f"{reached}" if limit.name == "errors" else f"{reached * 1000:.1f} ms"
                lines.append(f"limit {limit.text}: it was {shown} by {tally.transport}")
    return lines
