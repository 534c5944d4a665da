"""When the next write is due: evenly, and on average as often as asked."""

import math

# What may be caught up after a stall, in seconds of writes; more than that would be a flood, and is let go.
MOST_OWED_S = 1.0


def rate_of(text: str) -> float:
    """Writes a second, as typed; infinite for `max`. Raises ValueError, whose line says what is wanted."""
    try:
        rate = math.inf if text == "max" else float(text)
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise ValueError(f"{text!r} is not a number above 0, nor max")
    return rate


class Pace:
    """`rate` a second; infinite: always at once."""

    def __init__(self, rate: float, now_s: float) -> None:
        self._gap_s = 1 / rate
        self._due_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Take the next turn: how long until it is due, in seconds; at most 0 when it is due already."""
        due_s = max(self._due_s, now_s - MOST_OWED_S)
        self._due_s = due_s + self._gap_s
        return due_s - now_s
