"""Prices: on a tick, near where they began, and a fund's only when its NAV is struck."""

from random import Random

import pytest

from orderstream.demo.market import INSTRUMENTS, SYMBOLS, Market

FUNDS = [symbol for symbol in SYMBOLS if INSTRUMENTS[symbol].asset_class == "mutual_fund"]


def moved(seed: int, moves: int) -> Market:
    market = Market(Random(seed))
    for _ in range(moves):
        market.move()
    return market


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_price_is_on_a_tick_and_within_a_quarter_of_the_opening_after_a_long_walk(symbol: str) -> None:
    """The walk keeps to whole ticks, and is pulled back to prices that a person recognises."""
    market, instrument = moved(7, 30_000), INSTRUMENTS[symbol]
    market.strike()
    price = market.price(symbol)
    assert price is not None
    assert price % instrument.tick == 0
    assert abs(price / instrument.opening - 1) < 0.25


@pytest.mark.parametrize("symbol", FUNDS)
def test_nav_stays_until_it_is_struck(symbol: str) -> None:
    """A mutual fund's walk is not seen during the day."""
    market = moved(3, 2_000)
    assert market.price(symbol) == INSTRUMENTS[symbol].opening
    market.strike()
    assert market.price(symbol) != INSTRUMENTS[symbol].opening


def test_prices_are_the_same_when_the_seed_is() -> None:
    """Nothing random comes from elsewhere."""
    assert [moved(5, 500).price(symbol) for symbol in SYMBOLS] == [moved(5, 500).price(symbol) for symbol in SYMBOLS]


def test_price_is_none_when_nothing_of_that_name_is_traded() -> None:
    """An unknown symbol has no price."""
    assert moved(1, 0).price("ZZZZ") is None
