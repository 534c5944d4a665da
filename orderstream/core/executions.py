"""What executions come to: trades, less what was busted, with each correction in its trade's place.

    trade       adds its quantity
    bust        takes back what it refers to; its own quantity means nothing (FIX prints 0)
    correction  takes the place of what it refers to; its quantity and price are the new ones, not a difference

A bust or a correction refers to the newest report of its trade (FIX ExecRefID: "the previous execution, not the initial
one"), but brokers also refer to the first: either finds the trade. One that refers to nothing known takes nothing back.

Source: FIX 5.0 SP2 volume 4, "Order State Change Matrices", J.1.a to J.1.d.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation
from typing import NamedTuple

import msgspec

# Sums are exact or an error (ArithmeticError): one that was rounded in silence would be called a wrong one. Postgres'
# numeric holds more digits than this; no quantity does.
EXACT = Context(prec=300, traps=[Inexact, InvalidOperation])
# As JSON gives it: a whole one is read in less than half of the time.
Number = int | Decimal
# A mean goes on for ever: ten decimals, two more than the finest tick traded and rounded like money.
_MEAN_STEP = Decimal("1e-10")
_MEAN = Context(prec=300, rounding=ROUND_HALF_EVEN)


def minus(one: Number, other: Number) -> Number:
    """The difference, exact. Raises ArithmeticError for digits without end."""
    if type(one) is int and type(other) is int:
        return one - other
    return EXACT.subtract(one, other)


class Executed(msgspec.Struct, frozen=True, gc=False):
    """What of an execution's document counts here."""

    id: str
    kind: str
    quantity: Decimal
    price: Decimal | None = None
    refers_to: str | None = None

    def __post_init__(self) -> None:
        if not (self.quantity.is_finite() and (self.price is None or self.price.is_finite())):
            raise ValueError("not a number")


class Effect(NamedTuple):
    """By how much a report raises the net quantity; None where that cannot be known. `fault`: `unknown` reference,
    `again` for one that was taken back before."""

    quantity: Decimal | None
    fault: str | None = None


class Net(NamedTuple):
    """The sum of what counts, and its average price: None for nothing, or where a price is not known."""

    quantity: Decimal
    average_price: Decimal | None

    @property
    def document(self) -> bytes:
        """As JSON, exact, without an exponent or zeros behind."""
        average = b"null" if self.average_price is None else _text(self.average_price)
        return b'{"quantity":%b,"average_price":%b}' % (_text(self.quantity), average)


def _text(number: Decimal) -> bytes:
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


_NOTHING = Decimal(0)


class Executions:
    """The executions of one order, in the order in which they were told."""

    __slots__ = ("_in_force", "_roots", "_unpriced", "_value", "quantity")

    def __init__(self) -> None:
        self.quantity: Number = 0  # net
        self._value = _NOTHING
        self._unpriced = 0
        self._roots: dict[str, str] = {}  # execution -> its trade
        self._in_force: dict[
            str, tuple[Decimal, Decimal | None] | None
        ] = {}  # trade -> what counts of it; None: busted

    def __len__(self) -> int:
        return len(self._roots)

    def report(self, execution: Executed) -> Effect:
        """One more, or one that was repaired and is told again. Raises ArithmeticError for digits without end."""
        terms = (execution.quantity, execution.price)
        if execution.kind == "trade":
            root = self._roots.setdefault(execution.id, execution.id)
            return Effect(self._put(root, terms))
        if execution.kind not in ("bust", "correction"):
            return Effect(None)
        if execution.id in self._roots and execution.kind == "bust":
            return Effect(_NOTHING)
        root = self._roots.get(execution.id) or self._roots.get(execution.refers_to or "") or ""
        if not root:
            return Effect(None, "unknown")
        self._roots[execution.id] = root
        if self._in_force[root] is None:
            return Effect(_NOTHING, "again")
        return Effect(self._put(root, None if execution.kind == "bust" else terms))

    def _put(self, root: str, terms: tuple[Decimal, Decimal | None] | None) -> Decimal:
        before = self._in_force.get(root)
        self._in_force[root] = terms
        effect = EXACT.subtract(terms[0] if terms else _NOTHING, before[0] if before else _NOTHING)
        self.quantity = EXACT.add(self.quantity, effect)
        for sign, one in ((-1, before), (1, terms)):
            if one is not None and one[1] is None:
                self._unpriced += sign
            elif one is not None and one[1] is not None:
                self._value = EXACT.add(self._value, EXACT.multiply(sign * one[0], one[1]))
        return effect

    def scale(self, factor: Decimal) -> None:
        """Each quantity times the factor, as a stock split does to all that was traded before it. Prices are no longer
        those that were told."""
        for root, terms in list(self._in_force.items()):
            if terms is not None:
                self._put(root, (EXACT.multiply(terms[0], factor), None))

    @property
    def net(self) -> Net:
        quantity = Decimal(self.quantity)
        if not quantity or self._unpriced:
            return Net(quantity, None)
        mean = _MEAN.divide(self._value, quantity)
        return Net(quantity, _MEAN.quantize(mean, _MEAN_STEP))


_ORDER = {"trade": 0, "correction": 1, "bust": 2}


def net(executions: Sequence[Executed]) -> Net:
    """Of all executions of an order, whatever order they are in: a correction may carry its trade's own time."""
    known = Executions()
    left = sorted(executions, key=lambda one: _ORDER.get(one.kind, 3))
    while left:
        # A correction of a correction may stand before it.
        unknown = [one for one in left if known.report(one).fault == "unknown"]
        if len(unknown) == len(left):
            break
        left = unknown
    return known.net
