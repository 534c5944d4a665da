"""What goes wrong with order reports on their way, done to the matrices: one mistake at each place that it fits."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.matrices import Case, Write

Row = dict[str, Any]


class Mutant(NamedTuple):
    """A case with one mistake, which is made at the write `at`."""

    mistake: str
    case: Case
    at: int


Place = Callable[[Sequence[Write], int], list[Write] | None]


def _with(write: Write, execution: Row | None = None, **columns: Any) -> Write:
    return write._replace(columns=write.columns | columns, execution=execution or write.execution)


def _kind(write: Write) -> str | None:
    return None if write.execution is None else str(write.execution["kind"])


def _lost(kind: str | None) -> Place:
    def place(writes: Sequence[Write], at: int) -> list[Write] | None:
        if writes[at].is_new or _kind(writes[at]) != kind:
            return None
        return [*writes[:at], *writes[at + 1 :]]

    return place


def _instead(change: Callable[[Write], Write | list[Write] | None]) -> Place:
    """Another write, or several, in the place of one."""

    def place(writes: Sequence[Write], at: int) -> list[Write] | None:
        made = change(writes[at])
        if made is None:
            return None
        return [*writes[:at], *([made] if isinstance(made, Write) else made), *writes[at + 1 :]]

    return place


def _swapped(writes: Sequence[Write], at: int) -> list[Write] | None:
    if at + 1 == len(writes) or writes[at].is_new or writes[at].order != writes[at + 1].order or writes[at + 1].is_new:
        return None
    return [*writes[:at], writes[at + 1], writes[at], *writes[at + 2 :]]


def _doubled(write: Write) -> list[Write] | None:
    """The same fill again under a new ExecID."""
    if write.execution is None or _kind(write) != "trade":
        return None
    return [write, _with(write, write.execution | {"name": write.execution["name"] + "-again"})]


def _counted_twice(write: Write) -> Write | None:
    if write.execution is None or _kind(write) != "trade":
        return None
    return _with(write, filled_quantity=write.columns["filled_quantity"] + write.execution["quantity"])


def _wrong_sum(write: Write) -> Write | None:
    return _with(write, filled_quantity=write.columns["filled_quantity"] + 1) if write.execution else None


def _wrong_last(write: Write) -> Write | None:
    one = write.execution
    return None if one is None or one["kind"] == "bust" else _with(write, one | {"quantity": one["quantity"] + 1})


def _without_execution(write: Write) -> Write | None:
    return None if write.execution is None else write._replace(execution=None)


def _without_row(write: Write) -> Write | None:
    return None if write.execution is None else write._replace(columns={})


def _wrong_reference(write: Write) -> Write | None:
    one = write.execution
    return None if one is None or not one["refers_to"] else _with(write, one | {"refers_to": "nobody's"})


def _bust_again(write: Write) -> list[Write] | None:
    if write.execution is None or _kind(write) != "bust":
        return None
    return [write, _with(write, write.execution | {"name": write.execution["name"] + "-again"})]


def _wrong_quantity(write: Write) -> Write | None:
    if write.is_new or write.columns.get("quantity") is None or write.columns.get("exec_type") == "replaced":
        return None
    return _with(write, quantity=write.columns["quantity"] + 500)


_OTHER_STATUS = {
    "submitted": "filled", "partially_filled": "filled", "filled": "cancelled", "pending_cancel": "submitted",
    "pending_replace": "submitted", "cancelled": "submitted", "done_for_day": "submitted", "rejected": "filled",
    "stopped": "filled",
}  # fmt: skip


def _wrong_status(write: Write) -> Write | None:
    other = _OTHER_STATUS.get(write.columns["status"])
    return None if write.is_new or other is None else _with(write, status=other)


def _wrong_average(write: Write) -> Write | None:
    average = write.columns.get("average_price")
    return _with(write, average_price=round(average * 1.01, 4)) if average and write.execution else None


MISTAKES: dict[str, Place] = {
    "a trade is lost": _lost("trade"),
    "a bust is lost": _lost("bust"),
    "a correction is lost": _lost("correction"),
    "another report is lost": _lost(None),
    "two reports are swapped": _swapped,
    "a fill comes again, under a new ExecID": _instead(_doubled),
    "a fill is counted twice": _instead(_counted_twice),
    "a bust comes again": _instead(_bust_again),
    "CumQty is off by one": _instead(_wrong_sum),
    "LastQty is off by one": _instead(_wrong_last),
    "the order is changed, and the execution missing": _instead(_without_execution),
    "the execution is there, and the order not changed": _instead(_without_row),
    "a bust or correction refers to nothing": _instead(_wrong_reference),
    "OrderQty changes in a report that cannot change it": _instead(_wrong_quantity),
    "the status is another": _instead(_wrong_status),
    "AvgPx is off by 1 %": _instead(_wrong_average),
}


def mutants(cases: Sequence[Case]) -> Iterator[Mutant]:
    """Every mistake at every place of every case."""
    for mistake, place in MISTAKES.items():
        for case in cases:
            for at in range(len(case.writes)):
                writes = place(case.writes, at)
                if writes is not None:
                    yield Mutant(mistake, Case(f"{case.name}@{at}", writes), at)
