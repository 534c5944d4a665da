"""The changes that an order can go through."""

from decimal import Decimal

import pytest

from orderstream.demo import lives

from .orders import order


def test_average_is_the_mean_rounded_half_even_at_eight_decimals_when_it_does_not_end() -> None:
    """The mean is taken of exact sums, so rounding never adds up over executions."""
    first = lives.fill(order(status="submitted"), Decimal(1), Decimal("229.99")).order
    second = lives.fill(first, Decimal(2), Decimal("229.98")).order
    assert second.average_price == Decimal("229.98333333")
    assert second.filled_value == Decimal("689.95")


def test_order_is_filled_when_nothing_remains() -> None:
    """The last execution ends the order."""
    part = lives.fill(order(status="submitted"), Decimal(4), Decimal(230)).order
    whole = lives.fill(part, Decimal(6), Decimal(229)).order
    assert (part.status, whole.status) == ("partially_filled", "filled")
    assert whole.average_price == Decimal("229.4")


def test_order_stays_pending_cancel_when_a_part_trades_before_the_cancel() -> None:
    """FIX: a pending cancel may still trade, and stays pending."""
    change = lives.fill(order(status="pending_cancel"), Decimal(4), Decimal(230))
    assert change.order.status == "pending_cancel"
    assert change.execution == lives.Execution(Decimal(4), Decimal(230))


def test_replaced_order_is_partially_filled_when_it_had_traded() -> None:
    """FIX: an order that has traded goes back to partially filled, not to new."""
    traded = order(status="pending_replace", filled_quantity=Decimal(4))
    assert lives.replaced(traded, Decimal(12), Decimal(231)).order.status == "partially_filled"


@pytest.mark.parametrize("quantity", [Decimal(0), Decimal(-1), Decimal("10.01")])
def test_fill_is_refused_when_no_such_quantity_remains(quantity: Decimal) -> None:
    """Filled quantity never passes the quantity, nor falls."""
    with pytest.raises(lives.IllegalChange):
        lives.fill(order(status="submitted"), quantity, Decimal(230))


@pytest.mark.parametrize("status", sorted(lives.ENDED))
def test_change_is_refused_when_the_order_has_ended(status: str) -> None:
    """Ended orders stay ended."""
    with pytest.raises(lives.IllegalChange):
        lives.ask_to_cancel(order(status=status))


def test_replacement_is_refused_when_that_much_is_filled_already() -> None:
    """A quantity can only be lowered to more than what has traded."""
    with pytest.raises(lives.IllegalChange):
        lives.replaced(order(status="pending_replace", filled_quantity=Decimal(4)), Decimal(4), None)


@pytest.mark.parametrize(
    ("side", "price", "stop_price", "filled", "market", "may"),
    [
        ("buy", 230, None, 0, 230, True),
        ("buy", 230, None, 0, 231, False),
        ("sell", 230, None, 0, 231, True),
        ("sell", 230, None, 0, 229, False),
        ("buy", None, 235, 0, 234, False),
        ("buy", None, 235, 0, 235, True),
        ("sell", None, 225, 0, 226, False),
        ("sell", None, 225, 0, 225, True),
        ("buy", 236, 235, 0, 237, False),
        ("buy", 236, 235, 4, 230, True),
        ("buy", None, None, 0, 1, True),
    ],
)
def test_order_trades_when_the_market_is_past_its_stop_and_within_its_limit(
    side: str, price: int | None, stop_price: int | None, filled: int, market: int, may: bool
) -> None:
    """A stop once reached, which an execution proves, stays reached."""
    limit, stop = price and Decimal(price), stop_price and Decimal(stop_price)
    one = order(side=side, price=limit, stop_price=stop, filled_quantity=Decimal(filled))
    assert lives.may_trade_at(one, Decimal(market)) is may


@pytest.mark.parametrize(
    ("number", "written"), [("100.00", "100"), ("1E+2", "100"), ("0.2500", "0.25"), ("0.00001", "0.00001")]
)
def test_number_is_plain_when_it_has_zeros_or_an_exponent(number: str, written: str) -> None:
    """What goes into the table reads as a person writes it."""
    assert f"{lives.plain(Decimal(number)):f}" == written
