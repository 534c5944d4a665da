"""What is odd about a change of an order, by what it says and by what came before. It only says so: nothing is stopped.

    impossible   a document contradicts itself, whatever came before
    suspicious   it does not follow from what came before; a report that was lost, late or sent twice explains that too

That is the law by which a rule has its verdict. Real logs break the laws about two reports (CumQty falls on a plain
fill when the report of a bust was lost), and every report in them is true all the same.

A rule looks at a row (an order after a change, and before it), at a report (an execution), or at all that one
transaction did to an order: a fill is a report and a row, in either order, and only together are they right or wrong.
Where what came before is not known, the rules that need it say nothing.

Sources: FIX 5.0 SP2 volume 4, "Order State Change Matrices" (the letters are theirs), and OrdStatus (39) with its
precedence: pending cancel, pending replace, done for day, calculated, filled, stopped, suspended, cancelled and
expired, partially filled, and last new, rejected and pending new. docs/orders.md says more of each.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

import msgspec

from orderstream.core.executions import Effect, Executed, Number

IMPOSSIBLE = "impossible"
SUSPICIOUS = "suspicious"

_ENDED_BADLY = frozenset({"rejected", "cancelled", "expired"})
_OPEN = frozenset({"pending_new", "submitted", "partially_filled", "stopped", "suspended"})
_PENDING = frozenset({"pending_cancel", "pending_replace"})
# Below partially filled, and below filled, in the order of precedence. A fill that completes an order may still be
# called partial: Kraken says `filled` by itself afterwards.
_BELOW_PARTLY = frozenset({"pending_new", "submitted", "rejected"})
_BELOW_FILLED = _BELOW_PARTLY | {"cancelled", "expired", "suspended", "stopped"}
# What may come before a New: also a day or a halt that is over. The request to cancel may overtake it (B.1.d).
_BEFORE_PENDING_NEW = _PENDING | {"pending_new"}
_BEFORE_NEW = _BEFORE_PENDING_NEW | {"submitted", "done_for_day", "suspended"}
# Those of which is known what they may do to a quantity; of one that nobody here has heard of, nothing is.
KNOWN_TYPES = frozenset({
    "new", "trade", "trade_cancel", "trade_correct", "replaced", "restated", "pending_new", "done_for_day",
    "pending_cancel", "cancelled", "pending_replace", "stopped", "suspended", "calculated", "rejected", "expired",
    "order_status",
})  # fmt: skip
FALLS = frozenset({"trade_cancel", "trade_correct"})
RISES = frozenset({"trade", "trade_correct"})
# One part in ten thousand, or half of the last of two decimals: how a broker may have rounded.
_AVERAGE_RATIO = Decimal("0.0001")
_AVERAGE_STEP = Decimal("0.005")


class Row(msgspec.Struct, frozen=True, gc=False):
    """What of an order's document is looked at."""

    status: str
    filled_quantity: Number
    quantity: Number | None = None
    cash_amount: Number | None = None
    average_price: Number | None = None

    def __post_init__(self) -> None:
        for number in (self.filled_quantity, self.quantity, self.cash_amount, self.average_price):
            if type(number) is Decimal and not number.is_finite():
                raise ValueError("not a number")


class Step(msgspec.Struct, frozen=True, gc=False):
    """An order after a change, and before it, where that is known. `filled_at`: (filled quantity, quantity) of when it
    was last told as filled."""

    now: Row
    was: Row | None
    exec_type: str | None
    filled_at: tuple[Number, Number | None] | None = None


class Report(msgspec.Struct, frozen=True, gc=False):
    """An execution, what it does to the net quantity, and whether all that came before it is known."""

    execution: Executed
    effect: Effect
    complete: bool


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """What one transaction did to an order: `rise` of its filled quantity, and the `effect` that its executions
    account for. None where there was no row, or no execution. `average` is theirs, `told` the row's."""

    rise: Number | None
    effect: Number | None
    fell: bool  # a row lost some of its filled quantity for no reason that it gives
    rose: bool
    settled: bool  # filled and executions agree, over all that is known
    together: bool  # this order's rows and executions come in one transaction, as was seen before
    average: Decimal | None = None
    told: Number | None = None


F = TypeVar("F")


class Rule(NamedTuple, Generic[F]):
    """`text` is what a person is told when it is broken, `source` whose rule it is."""

    name: str
    verdict: str
    text: str
    source: str
    broken: Callable[[F], bool]


class Check(msgspec.Struct, frozen=True):
    """The verdict on an event, as it rides in its data."""

    verdict: str
    rule: str
    text: str


def _is_negative(step: Step) -> bool:
    row = step.now
    if row.filled_quantity < 0 or (row.quantity is not None and row.quantity < 0):
        return True
    return row.cash_amount is not None and row.cash_amount < 0


def _is_below(step: Step) -> bool:
    row = step.now
    filled, whole = row.filled_quantity, row.quantity
    if filled == 0:
        return row.status in ("partially_filled", "filled") and whole != 0
    return row.status in _BELOW_PARTLY or (filled == whole and row.status in _BELOW_FILLED)


def _lives_again(step: Step) -> bool:
    if step.was is None or step.was.status not in _ENDED_BADLY:
        return False
    again = _OPEN | _PENDING | ({"filled"} if step.was.status == "rejected" else frozenset())
    return step.now.status in again


def _reopens(step: Step) -> bool:
    same = step.filled_at == (step.now.filled_quantity, step.now.quantity)
    return same and step.now.quantity is not None and step.now.status in _OPEN


def _changes_quantity(step: Step) -> bool:
    if step.was is None or step.was.quantity is None or step.exec_type not in KNOWN_TYPES:
        return False
    return step.now.quantity != step.was.quantity and step.exec_type not in ("replaced", "restated")


def _is_new_again(step: Step) -> bool:
    if step.was is None or step.exec_type not in ("new", "pending_new"):
        return False
    return step.was.status not in (_BEFORE_NEW if step.exec_type == "new" else _BEFORE_PENDING_NEW)


def _differs(one: Transaction) -> bool:
    return one.rise is not None and one.effect is not None and one.rise != one.effect and not one.settled


def _lacks_a_report(one: Transaction) -> bool:
    if one.settled or not one.together or one.rise is None:
        return False
    return one.effect is None or one.rise == one.effect


def _is_off(one: Transaction) -> bool:
    if one.average is None or one.told is None:
        return False
    return abs(one.told - one.average) > max(_AVERAGE_STEP, abs(one.average) * _AVERAGE_RATIO)


OF_A_ROW: tuple[Rule[Step], ...] = (
    Rule(
        "negative", IMPOSSIBLE, "A quantity is below zero.", "arithmetic",
        _is_negative,
    ),
    Rule(
        "over-filled", IMPOSSIBLE, "More is filled than was ordered.", "CumQty ≤ OrderQty in all matrices",
        lambda step: step.now.quantity is not None and step.now.filled_quantity > step.now.quantity,
    ),
    Rule(
        "filled-with-rest", IMPOSSIBLE, "It is called filled, and something is left of it.",
        "Filled means LeavesQty 0 in all matrices",
        lambda step: (
            step.now.status == "filled" and step.now.quantity is not None
            and step.now.filled_quantity < step.now.quantity
        ),
    ),
    Rule(
        "precedence", SUSPICIOUS, "Its status is not the one that goes with what is filled.",
        "precedence of OrdStatus (39); C.3.b, J.1.b", _is_below,
    ),
    Rule(
        "lives-again", SUSPICIOUS, "It had ended, and is at work again.",
        "no matrix leaves Rejected, Canceled or Expired; J.1.b", _lives_again,
    ),
    Rule(
        "reopened", SUSPICIOUS, "It was filled, and is open again with nothing more to fill.",
        "C.1.c, J.1.a: by a replace, a bust or a correction", _reopens,
    ),
    Rule(
        "quantity", SUSPICIOUS, "Its quantity changed without a replace or a restatement.",
        "C.1 to E.1: OrderQty changes by Replaced and Restated", _changes_quantity,
    ),
    Rule(
        "new-again", SUSPICIOUS, "It was sent or accepted a second time.",
        "New comes once, before any trade; B.1.d, B.1.e", _is_new_again,
    ),
)  # fmt: skip

OF_A_REPORT: tuple[Rule[Report], ...] = (
    Rule(
        "no-quantity", IMPOSSIBLE, "A trade of nothing, or of less.", "LastQty > 0 on every Trade; J.1",
        lambda one: one.execution.quantity < 0 or (one.execution.kind == "trade" and one.execution.quantity == 0),
    ),
    Rule(
        "unknown-trade", SUSPICIOUS, "It takes back or corrects a trade that was never reported.",
        "ExecRefID (19); J.1.a", lambda one: one.complete and one.effect.fault == "unknown",
    ),
    Rule(
        "taken-back-twice", SUSPICIOUS, "It takes back or corrects a trade that was taken back before.",
        "ExecRefID (19); J.1.b", lambda one: one.effect.fault == "again",
    ),
)  # fmt: skip

OF_A_TRANSACTION: tuple[Rule[Transaction], ...] = (
    Rule(
        "fall", SUSPICIOUS, "Less is filled than before, and no trade was taken back or corrected.",
        "CumQty falls only by Trade Cancel and Trade Correct, in all matrices",
        lambda one: one.fell and (one.effect is None or one.rise != one.effect),
    ),
    Rule(
        "rise", SUSPICIOUS, "More is filled than before, and there was no trade.",
        "CumQty rises by Trade and Trade Correct, and in a split by Restated: H.1.b",
        lambda one: one.rose and (one.effect is None or one.rise != one.effect),
    ),
    Rule(
        "trade-quantity", SUSPICIOUS, "What is filled did not change by what was traded.",
        "a Trade raises CumQty by exactly LastQty, in all matrices", _differs,
    ),
    Rule(
        "unreported", SUSPICIOUS, "What is filled changed, and an execution that says so is missing.",
        "each change of CumQty is an execution report of its own", _lacks_a_report,
    ),
    Rule(
        "unbooked", SUSPICIOUS, "A trade was reported, and what is filled did not change.",
        "a Trade raises CumQty by exactly LastQty, in all matrices",
        lambda one: one.rise is None and bool(one.effect) and one.together and not one.settled,
    ),
    Rule(
        "average-price", SUSPICIOUS, "The average price is not that of its executions.",
        "AvgPx (6); J.1.a", _is_off,
    ),
)  # fmt: skip

RULES = (*OF_A_ROW, *OF_A_REPORT, *OF_A_TRANSACTION)


def first_broken(rules: tuple[Rule[F], ...], facts: F) -> Check | None:
    """The worst: a table has its impossible ones first."""
    for rule in rules:
        if rule.broken(facts):
            return Check(rule.verdict, rule.name, rule.text)
    return None
