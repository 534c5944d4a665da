"""What the order desk takes, and what it says where it does not."""

from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest

from orderstream.demo import desk
from orderstream.demo.desk import Rejection, Request
from orderstream.demo.lives import Order
from orderstream.demo.market import Market


def placed(*, is_open: bool = True, **fields: Any) -> Order | Rejection:
    """What becomes of a request for 10 AAPL at 230 with `fields` different; AAPL is at 232.50."""
    usual: dict[str, Any] = {
        "symbol": "AAPL",
        "asset_class": "stock",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "platform": "web",
        "quantity": Decimal(10),
        "price": Decimal("230.00"),
    }
    ids = iter([UUID(int=1), UUID(int=2)])
    request = Request(**usual | fields)
    return desk.place(request, "ann", Market(Random(1)), is_open=is_open, new_id=lambda: next(ids))


def test_order_is_pending_new_when_the_request_is_good() -> None:
    """It is what to insert."""
    order = placed()
    assert isinstance(order, Order)
    assert (order.user_id, order.status, order.quantity, order.version) == ("ann", "pending_new", 10, 0)


MARKET = {"order_type": "market", "price": None}
FUND = {"symbol": "VFIAX", "asset_class": "mutual_fund"}
CRYPTO = {
    "symbol": "BTC-USD",
    "asset_class": "crypto",
    "time_in_force": "gtc",
    "quantity": Decimal("0.01234"),
}


@pytest.mark.parametrize(
    "fields",
    [
        MARKET,
        MARKET | FUND,
        MARKET | CRYPTO,
        {"order_type": "stop", "price": None, "stop_price": Decimal(240)},
    ],
)
def test_order_is_taken_when_it_is_of_a_kind_that_its_market_has(fields: dict[str, Any]) -> None:
    """Each asset class has its own ways."""
    assert isinstance(placed(**fields), Order)


@pytest.mark.parametrize("fields", [MARKET | FUND, MARKET | CRYPTO])
def test_order_is_taken_after_the_bell_when_its_market_has_no_hours(fields: dict[str, Any]) -> None:
    """Crypto trades round the clock, and funds wait for their next NAV."""
    assert isinstance(placed(is_open=False, **fields), Order)


@pytest.mark.parametrize(
    ("reason_code", "words", "fields"),
    [
        ("unknown_symbol", "AAPPL", {"symbol": "AAPPL"}),
        ("unknown_symbol", "AAPL", {"asset_class": "etf"}),
        ("unsupported_side", "buys or sells", {"side": "short"}),
        ("unsupported_order_type", "takes no limit orders", FUND),
        ("unsupported_time_in_force", "takes no day orders", MARKET | CRYPTO | {"time_in_force": "day"}),
        ("bad_quantity", "above zero", {"quantity": Decimal(0)}),
        ("bad_quantity", "above zero", {"quantity": Decimal("NaN")}),
        ("bad_quantity", "smaller", {"quantity": Decimal("1e40")}),
        ("bad_quantity", "steps of 1, not 0.5", {"quantity": Decimal("0.5")}),
        ("bad_price", "needs a limit price", {"price": None}),
        ("bad_price", "has no limit price", {"order_type": "market"}),
        ("bad_price", "needs a stop price", {"order_type": "stop", "price": None}),
        ("bad_price", "steps of $0.01", {"price": Decimal("230.001")}),
        ("price_out_of_range", "$300.00 is more than 20\N{NO-BREAK SPACE}% away", {"price": Decimal("300.00")}),
        ("price_out_of_range", "away from the last price", {"price": Decimal("Infinity")}),
        ("insufficient_buying_power", "needs about $460,000.00", {"quantity": Decimal(2000)}),
        ("market_closed", "just closed", {"is_open": False}),
    ],
)
def test_request_is_refused_with_words_when_it_cannot_be_placed(
    reason_code: str, words: str, fields: dict[str, Any]
) -> None:
    """The code is for programs, the words say to a person what to change."""
    rejection = placed(**fields)
    assert isinstance(rejection, Rejection)
    assert rejection.reason_code == reason_code
    assert words in rejection.reason
