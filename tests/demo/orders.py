"""Orders for the tests of the demo."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from orderstream.demo.lives import Order


def order(**fields: Any) -> Order:
    """A limit order of ann's for 10 AAPL at 230; `fields` say what is different."""
    usual: dict[str, Any] = {
        "id": UUID(int=1),
        "user_id": "ann",
        "client_order_id": "web-1",
        "symbol": "AAPL",
        "asset_class": "stock",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "platform": "web",
        "quantity": Decimal(10),
        "price": Decimal("230.00"),
        "stop_price": None,
    }
    return Order(**usual | fields)
