"""A burst of the same line is said once per interval, with how often it came.

    take(key, line)   the first of its key is said at once; those that follow within the interval are held and counted
    due()             what was held for an interval is said, as one; where nothing was, the burst is over

What is said stands for `times` lines, itself included, so that together they are the number of lines that came:
`rest()` at the end gives what is still held. A key is forgotten with its burst, and there are never more than
`max_keys`; the one that was said longest ago gives way, and what it held is said.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
L = TypeVar("L")


class Said(NamedTuple, Generic[L]):
    """The newest of so many lines, and the newest of the marks that they had."""

    line: L
    times: int
    marks: Sequence[str]


class _Burst(Generic[L]):
    __slots__ = ("count", "line", "marks", "said_at_s")

    def __init__(self, said_at_s: float, max_marks: int) -> None:
        self.said_at_s = said_at_s
        self.count = 0
        self.line: L | None = None
        self.marks: deque[str] = deque(maxlen=max_marks)


class Bursts(Generic[K, L]):
    """`key -> burst`, the one said longest ago first. `now_s` is of a clock that only goes forward."""

    def __init__(self, *, interval_s: float = 1.0, max_keys: int = 256, max_marks: int = 20) -> None:
        self._interval_s = interval_s
        self._max_keys = max_keys
        self._max_marks = max_marks
        self._bursts: dict[K, _Burst[L]] = {}

    def take(self, key: K, line: L, now_s: float, mark: str | None = None) -> list[Said[L]]:
        """What is to be said now: this line if it is the first, and what became due. `mark` tells it from the others
        of its key."""
        said = self.due(now_s)
        marks = () if mark is None else (mark,)
        burst = self._bursts.get(key)
        if burst is not None:
            burst.count += 1
            burst.line = line
            burst.marks.extend(marks)
            return said
        if len(self._bursts) >= self._max_keys:
            said += self._end(next(iter(self._bursts)))
        self._bursts[key] = _Burst(now_s, self._max_marks)
        return [*said, Said(line, 1, marks)]

    def due(self, now_s: float) -> list[Said[L]]:
        """What was held for an interval."""
        said: list[Said[L]] = []
        while self._bursts:
            key, burst = next(iter(self._bursts.items()))
            if now_s - burst.said_at_s < self._interval_s:
                break
            said += self._end(key)
            if burst.count:
                self._bursts[key] = _Burst(now_s, self._max_marks)
        return said

    def rest(self) -> list[Said[L]]:
        """All that is held, whenever it was due."""
        return [said for key in list(self._bursts) for said in self._end(key)]

    def _end(self, key: K) -> list[Said[L]]:
        burst = self._bursts.pop(key)
        return [] if burst.line is None else [Said(burst.line, burst.count, tuple(burst.marks))]
