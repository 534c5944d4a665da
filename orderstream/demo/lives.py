"""How an order lives: the changes it can go through, each from one committed row to the next.

`NEXT` is the whole law of statuses; every change passes through `_moved`, which obeys it. Nothing here is
random or reads a clock: who decides which change comes next is `floor`.

Source: FIX 5.0 SP2 volume 4, "Order State Change Matrices".
"""

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

NEXT: dict[str, frozenset[str]] = {
    "pending_new": frozenset({"submitted", "rejected"}),
    "submitted": frozenset({"partially_filled", "filled", "pending_cancel", "pending_replace", "expired"}),
    "partially_filled": frozenset({"partially_filled", "filled", "pending_cancel", "pending_replace", "expired"}),
    # Until the cancel is confirmed the order may trade: in part, or to filled ("too late to cancel").
    "pending_cancel": frozenset({"pending_cancel", "filled", "cancelled"}),
    "pending_replace": frozenset({"submitted", "partially_filled"}),
    "filled": frozenset(),
    "cancelled": frozenset(),
    "rejected": frozenset(),
    "expired": frozenset(),
}
OPEN = frozenset(status for status, following in NEXT.items() if following)
ENDED = frozenset(NEXT) - OPEN
AT_WORK = frozenset({"submitted", "partially_filled"})

# How the client_order_id of an order begins that a person placed on the demo's page.
BY_HAND = "page-"

# An average price is the exact mean of its executions, rounded half to even at eight decimals: three more
# than the finest tick traded, and few enough for a reader's double to show it unchanged.
AVERAGE_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Order:
    """One row of `orders`; version 0: not inserted yet. `filled_value`: the exact sum of quantity × price."""

    id: UUID
    user_id: str
    client_order_id: str | None
    symbol: str
    asset_class: str
    side: str
    order_type: str
    time_in_force: str
    platform: str
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    status: str = "pending_new"
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    reason_code: str | None = None
    reason: str | None = None
    version: int = 0
    filled_value: Decimal = Decimal(0)

    @property
    def is_by_hand(self) -> bool:
        """Whether a person placed it, or another program: not one of the demo's crowd."""
        return self.client_order_id is None or self.client_order_id.startswith(BY_HAND)

    @property
    def remaining_quantity(self) -> Decimal:
        return self.quantity - self.filled_quantity


@dataclass(frozen=True, slots=True)
class Execution:
    """A trade of a part of an order."""

    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction writes: the order as it is to be, under the version it had, and its execution."""

    order: Order
    execution: Execution | None = None


class IllegalChange(ValueError):
    """An order cannot go from where it is to where it was asked to go."""


def accept(order: Order) -> Change:
    return Change(_moved(order, "submitted"))


def reject(order: Order, reason_code: str, reason: str) -> Change:
    return Change(_moved(order, "rejected", reason_code=reason_code, reason=reason))


def fill(order: Order, quantity: Decimal, price: Decimal) -> Change:
    """Trade `quantity` of the order at `price`; IllegalChange when less than that remains."""
    if not 0 < quantity <= order.remaining_quantity:
        raise IllegalChange(f"{quantity} cannot be filled where {order.remaining_quantity} remains")
    filled, value = order.filled_quantity + quantity, order.filled_value + quantity * price
    if filled == order.quantity:
        status = "filled"
    else:
        status = "pending_cancel" if order.status == "pending_cancel" else "partially_filled"
    traded = _moved(order, status, filled_quantity=filled, filled_value=value, average_price=average(value, filled))
    return Change(traded, Execution(quantity, price))


def ask_to_cancel(order: Order) -> Change:
    return Change(_moved(order, "pending_cancel"))


def cancel(order: Order) -> Change:
    return Change(_moved(order, "cancelled", reason_code="cancelled_by_user", reason=_cancelled_words(order)))


def ask_to_replace(order: Order) -> Change:
    return Change(_moved(order, "pending_replace"))


def replaced(order: Order, quantity: Decimal, price: Decimal | None) -> Change:
    """Give the order its new terms, or its old ones again where the exchange refuses."""
    if quantity <= order.filled_quantity:
        raise IllegalChange(f"{order.filled_quantity} is filled already, so {quantity} is too few")
    status = "partially_filled" if order.filled_quantity else "submitted"
    return Change(_moved(order, status, quantity=quantity, price=price))


def expire(order: Order) -> Change:
    """The order's time in force is over."""
    reason_code, words = _EXPIRED[order.time_in_force]
    what = "the rest of this order" if order.filled_quantity else "this order"
    return Change(_moved(order, "expired", reason_code=reason_code, reason=words.format(what=what)))


def may_trade_at(order: Order, price: Decimal) -> bool:
    """Whether a market at `price` has reached the order's stop and is within its limit."""
    buys = order.side == "buy"
    stop, limit = order.stop_price, order.price
    # A stop once reached stays reached, and an execution is the proof of it that the table keeps.
    reached = stop is None or order.filled_quantity > 0 or (price >= stop if buys else price <= stop)
    within = limit is None or (price <= limit if buys else price >= limit)
    return reached and within


def average(value: Decimal, quantity: Decimal) -> Decimal:
    return plain((value / quantity).quantize(AVERAGE_STEP, ROUND_HALF_EVEN))


def plain(number: Decimal) -> Decimal:
    """The same number as a person writes it: no zeros at its end, no exponent."""
    return Decimal(f"{number.normalize():f}")


_EXPIRED = {
    "day": ("day_ended", "The market closed before {what} could be filled."),
    "gtc": ("gtc_ended", "Time ran out for {what}."),
    "ioc": ("not_filled_at_once", "Nobody was trading at your price at that moment, so {what} was let go."),
    "fok": ("not_filled_whole", "The whole quantity could not be had at once, so {what} was let go."),
}


def _cancelled_words(order: Order) -> str:
    if not order.filled_quantity:
        return "You cancelled this order."
    filled, quantity = plain(order.filled_quantity), plain(order.quantity)
    return f"You cancelled the rest of this order, after {filled} of {quantity}."


def _moved(order: Order, status: str, **fields: Any) -> Order:
    if status not in NEXT[order.status]:
        raise IllegalChange(f"an order that is {order.status} cannot become {status}")
    return replace(order, status=status, **fields)
