"""When each message of a log is due, where it is played at a pace: from the times at which messages were sent."""

import re
from datetime import datetime

_PACE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)x?")


def pace_of(text: str) -> float:
    """How many times as fast as it was, of `10x`, `0.5` and such; raises ValueError."""
    match = _PACE.fullmatch(text)
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a pace, such as 1x, 10x or 0.5x")
    return float(match[1])


class Pace:
    """Seconds from the start until a message is due. A log that goes back in time, or has no time for a message, does
    not hold it up; a silence is never longer than `silence_most_s` of the reader's time."""

    def __init__(self, times_as_fast: float, silence_most_s: float) -> None:
        self._times_as_fast = times_as_fast
        self._silence_most_s = silence_most_s
        self._last: datetime | None = None
        self._due_s = 0.0

    def due_s(self, sent_at: str | None) -> float:
        """`sent_at` in RFC 3339."""
        if sent_at is not None:
            at = datetime.fromisoformat(sent_at)
            if self._last is not None and at > self._last:
                silence_s = (at - self._last).total_seconds() / self._times_as_fast
                self._due_s += min(silence_s, self._silence_most_s)
            if self._last is None or at > self._last:
                self._last = at
        return self._due_s
