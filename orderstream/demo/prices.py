"""The exchange's last prices, in a file that it keeps and others read."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import msgspec

from .market import INSTRUMENTS


class Prices(Protocol):
    def price(self, symbol: str) -> Decimal | None:
        """The last price; None when nothing of that name is traded."""


class Board(msgspec.Struct, frozen=True):
    """What the exchange last said. `is_open`: stocks and ETFs trade."""

    is_open: bool
    prices: Mapping[str, Decimal]

    def price(self, symbol: str) -> Decimal | None:
        return self.prices.get(symbol)


def write(path: Path, prices: Prices, *, is_open: bool) -> None:
    """Whole or not at all for whoever reads at this moment."""
    last = {symbol: price for symbol in INSTRUMENTS if (price := prices.price(symbol)) is not None}
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(Board(is_open, last)))
    fresh.replace(path)


def read(path: Path) -> Board:
    """Before the exchange first said anything, the prices that it begins with."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Board)
    except FileNotFoundError:
        return Board(True, {one.symbol: one.opening for one in INSTRUMENTS.values()})
