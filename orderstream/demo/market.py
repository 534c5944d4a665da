"""What the demo trades, and its prices: a random walk for each instrument, in whole ticks.

The walk is pulled back towards the price it began at, so that a demo left running for a week still shows
prices that a person recognises. A mutual fund has no price during the day: its walk goes on unseen, and
`strike` makes it the net asset value (NAV) at which the fund's orders fill.
"""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

# Share of the distance to the opening price that a move takes back: prices stay within some 16 swings of it.
PULL = 0.002


@dataclass(frozen=True, slots=True)
class Instrument:
    """Prices are multiples of `tick`, quantities of `lot`; `swing`: a move's standard deviation, a share."""

    symbol: str
    name: str
    asset_class: str
    opening: Decimal
    tick: Decimal
    lot: Decimal
    swing: float


def _listed(asset_class: str, tick: str, lot: str, swing: float, *listed: tuple[str, str, str]) -> list[Instrument]:
    return [
        Instrument(symbol, name, asset_class, Decimal(opening), Decimal(tick), Decimal(lot), swing)
        for symbol, name, opening in listed
    ]


INSTRUMENTS = {
    instrument.symbol: instrument
    for instrument in [
        *_listed(
            "stock", "0.01", "1", 0.0015,
            ("AAPL", "Apple", "232.50"),
            ("AMZN", "Amazon", "218.30"),
            ("F", "Ford Motor", "11.85"),
            ("KO", "Coca-Cola", "69.40"),
            ("MSFT", "Microsoft", "431.20"),
            ("NVDA", "NVIDIA", "138.75"),
            ("TSLA", "Tesla", "341.10"),
        ),
        *_listed(
            "etf", "0.01", "1", 0.0008,
            ("QQQ", "Invesco QQQ", "512.60"),
            ("SPY", "SPDR S&P 500", "594.15"),
            ("VTI", "Vanguard Total Stock", "293.45"),
        ),
        *_listed(
            "mutual_fund", "0.01", "0.001", 0.0006,
            ("FXAIX", "Fidelity 500 Index", "207.31"),
            ("VFIAX", "Vanguard 500 Index", "549.86"),
            ("VBTLX", "Vanguard Total Bond", "9.61"),
        ),
        *_listed("crypto", "0.01", "0.00001", 0.0025, ("BTC-USD", "Bitcoin", "97250.00")),
        *_listed("crypto", "0.01", "0.0001", 0.0030, ("ETH-USD", "Ether", "3380.00")),
        *_listed("crypto", "0.00001", "1", 0.0040, ("DOGE-USD", "Dogecoin", "0.38450")),
    ]
}  # fmt: skip
SYMBOLS = tuple(INSTRUMENTS)


class Market:
    """The last price of every instrument. Everything random comes from `rng`."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._ticks = {one.symbol: int(one.opening / one.tick) for one in INSTRUMENTS.values()}
        self._nav = {one.symbol: one.opening for one in INSTRUMENTS.values() if one.asset_class == "mutual_fund"}

    def price(self, symbol: str) -> Decimal | None:
        """The last price, for a mutual fund its last NAV; None when nothing of that name is traded here."""
        if symbol in self._nav:
            return self._nav[symbol]
        return self._walked(symbol) if symbol in self._ticks else None

    def move(self) -> None:
        """One step of the walk, of one instrument."""
        instrument = INSTRUMENTS[self._rng.choice(SYMBOLS)]
        ticks, opening = self._ticks[instrument.symbol], instrument.opening / instrument.tick
        step = self._rng.gauss(PULL * (float(opening) - ticks), instrument.swing * ticks)
        # Where a tick is coarse against the swing, rounding to zero would freeze the price: go one tick then.
        whole = round(step) or (1 if step > 0 else -1)
        self._ticks[instrument.symbol] = max(1, ticks + whole)

    def strike(self) -> None:
        """Make each fund's walk its NAV."""
        self._nav = {symbol: self._walked(symbol) for symbol in self._nav}

    def _walked(self, symbol: str) -> Decimal:
        return self._ticks[symbol] * INSTRUMENTS[symbol].tick
