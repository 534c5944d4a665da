"""What was measured, round by round, and what is said of it: medians, spreads, and ratios within a round."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


class Results:
    """Figures of one scenario: `add` one in a round, of whom, of what."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
        self._round = 0

    def rounds(self, count: int) -> Iterator[int]:
        """Their numbers, from 1; what is added meanwhile is of that round."""
        for self._round in range(1, count + 1):
            yield self._round

    def add(self, who: str, what: str, value: float) -> None:
        self._values[who, what][self._round] = value

    def has(self, who: str, what: str) -> bool:
        return bool(self._values.get((who, what)))

    def of(self, who: str, what: str) -> list[float]:
        """One figure a round, in the order of the rounds in which it was measured."""
        return list(self._values.get((who, what), {}).values())

    def median(self, who: str, what: str) -> float:
        return median(self.of(who, what))

    def ratios(self, who: str, other: str, what: str, other_what: str | None = None) -> list[float]:
        """Of `who` to `other`, each of the same round."""
        mine = self._values.get((who, what), {})
        its = self._values.get((other, other_what or what), {})
        return [mine[number] / its[number] for number in mine if its.get(number)]


@dataclass(frozen=True)
class Goal:
    """`scenario` is the letter of the one that measures it; the limit itself is good enough. `hard` says what stands in
    the way, for a run that does not reach it."""

    scenario: str
    name: str
    sign: str
    limit: float
    unit: str
    hard: str = ""

    @property
    def wanted(self) -> str:
        return f"{self.sign} {number(self.limit)} {self.unit}"

    def is_reached(self, rounds: Sequence[float]) -> bool:
        """By the median of them."""
        reached = median(rounds)
        return reached <= self.limit if self.sign == "≤" else reached >= self.limit


@dataclass(frozen=True)
class Table:
    """Cells are text already, in Markdown; `note` stands below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass
class Section:
    """One scenario's part of the report. `reached` has what each round came to, none where it was not measured;
    `pictures` are SVG by their name; `missed` are events of ours that did not come, or came twice: none is right."""

    title: str
    how: str
    tables: list[Table] = field(default_factory=list)
    reached: Mapping[Goal, Sequence[float]] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    missed: int = 0
    notes: list[str] = field(default_factory=list)


def number(value: float) -> str:
    """With three digits that count."""
    if value == int(value):
        return f"{value:,.0f}"
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def spread(values: Sequence[float]) -> str:
    """The median, and how far the rounds lay apart; a dash where there are none."""
    if not values:
        return "–"
    middle = number(median(values))
    lowest, highest = number(min(values)), number(max(values))
    return middle if lowest == highest else f"{middle} ({lowest}–{highest})"


def times(values: Sequence[float]) -> str:
    """A ratio."""
    return f"{spread(values)} ×" if values else "–"
