"""What executions come to: by the standard's own figures, whatever order they are in."""

import itertools
from decimal import Decimal

import pytest

from orderstream.core.executions import Executed, Net, net


def one(name: str, quantity: int, price: int | None, kind: str = "trade", refers_to: str | None = None) -> Executed:
    return Executed(name, kind, Decimal(quantity), None if price is None else Decimal(price), refers_to)


# J.1.a: trades, a bust, corrections of corrections.
J1A = [
    one("C", 1000, 100),
    one("D", 9000, 110),
    one("E", 0, None, "bust", "C"),
    one("F", 9000, 100, "correction", "D"),
    one("G", 1000, 120),
    one("H", 9000, 120, "correction", "F"),
    one("K", 9500, 120, "correction", "H"),
]


@pytest.mark.parametrize(
    ("reports", "quantity", "average"),
    [(2, 10000, 109), (3, 9000, 110), (4, 9000, 100), (5, 10000, 102), (7, 10500, 120)],
)
def test_net_is_what_the_standard_prints(reports: int, quantity: int, average: int) -> None:
    """CumQty and AvgPx after each report of the matrix J.1.a."""
    assert net(J1A[:reports]) == Net(Decimal(quantity), Decimal(average))


def test_net_is_the_same_in_every_order() -> None:
    """Three reports in one millisecond are in no order by their time."""
    corrected = [*J1A[1:2], *J1A[3:4], *J1A[5:]]
    assert {net(list(order)) for order in itertools.permutations(corrected)} == {Net(Decimal(9500), Decimal(120))}


def test_net_of_no_executions_has_no_price() -> None:
    """Nor has one that was all taken back."""
    assert net([]) == net([one("a", 5, 10), one("b", 5, 10, "bust", "a")]) == Net(Decimal(0), None)


def test_net_with_a_price_missing_has_none() -> None:
    """A part's price is not the price of all."""
    assert net([one("a", 5, 10), one("b", 5, None)]) == Net(Decimal(10), None)


@pytest.mark.parametrize("kind", ["bust", "correction"])
@pytest.mark.parametrize("refers_to", [None, "nobody's"])
def test_what_refers_to_nothing_takes_nothing_back(kind: str, refers_to: str | None) -> None:
    """Nothing is made up of it."""
    assert net([one("a", 5, 10), one("b", 3, 9, kind, refers_to)]) == Net(Decimal(5), Decimal(10))


def test_sum_is_exact_and_the_average_has_ten_decimals() -> None:
    """A quantity of any size is not rounded away."""
    apart = [Executed("a", "trade", Decimal("1e30"), Decimal(1)), Executed("b", "trade", Decimal("1e-9"), Decimal(1))]
    assert str(net(apart).quantity) == "1" + 30 * "0" + ".000000001"
    assert net([one("a", 1, 1), one("b", 2, 2)]).average_price == Decimal("1.6666666667")
