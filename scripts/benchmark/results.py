"""What was measured, round by round, and what is said of it: medians, spreads, and ratios within a round."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median


class Results:
    """Figures of one scenario: `add` one per round, of whom, of what."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, who: str, what: str, value: float) -> None:
        self._values[who, what].append(value)

    def has(self, who: str, what: str) -> bool:
        return bool(self._values.get((who, what)))

    def of(self, who: str, what: str) -> list[float]:
        """One figure a round, in the order of the rounds; empty where it was not measured."""
        return self._values.get((who, what), [])

    def median(self, who: str, what: str) -> float:
        return median(self.of(who, what))

    def ratios(self, who: str, other: str, what: str, other_what: str | None = None) -> list[float]:
        """Of `who` to `other`, each of the same round."""
        theirs = self.of(other, other_what or what)
        return [mine / its for mine, its in zip(self.of(who, what), theirs, strict=False) if its]


@dataclass(frozen=True)
class Goal:
    """What was to be reached: `reached` in words, and whether that is enough; None where it was not measured."""

    name: str
    wanted: str
    reached: str
    is_reached: bool


@dataclass(frozen=True)
class Table:
    """Cells are text already, in Markdown; `note` stands below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass
class Section:
    """One scenario's part of the report. `pictures` are SVG by their name; `missed` are events of ours that did not
    come, or came twice: none is right."""

    title: str
    how: str
    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    missed: int = 0
    notes: list[str] = field(default_factory=list)


Scenario = Callable[..., Section]


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


def at_most(name: str, limit: float, values: Sequence[float], unit: str) -> Goal | None:
    """A goal that the median must not be above."""
    return _goal(name, f"≤ {number(limit)} {unit}", values, unit, lambda value: value <= limit)


def at_least(name: str, limit: float, values: Sequence[float], unit: str) -> Goal | None:
    """A goal that the median must not be below."""
    return _goal(name, f"≥ {number(limit)} {unit}", values, unit, lambda value: value >= limit)


def _goal(
    name: str, wanted: str, values: Sequence[float], unit: str, is_enough: Callable[[float], bool]
) -> Goal | None:
    if not values:
        return None
    return Goal(name, wanted, f"{spread(values)} {unit}", is_enough(median(values)))


def known(*goals: Goal | None) -> list[Goal]:
    """Those that were measured."""
    return [goal for goal in goals if goal is not None]
