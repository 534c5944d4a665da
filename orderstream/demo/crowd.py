"""The demo's users: who they are, and what they ask the order desk for."""

from dataclasses import replace
from decimal import Decimal
from itertools import accumulate
from random import Random

from .desk import BUYING_POWER, PRICE_BAND, Request
from .lives import plain
from .market import INSTRUMENTS, Instrument, Market

NAMES = (
    "ann", "ben", "cara", "dan", "eve", "finn", "gina", "hugo", "iris", "jack", "kim", "leo", "mia",
    "noah", "olga", "paul", "quinn", "rosa", "sam", "tess", "uma", "vic", "wendy", "xena", "yara", "zoe",
)  # fmt: skip

PLATFORMS = {"mobile": 65, "web": 35}
ASSET_CLASSES = {"stock": 48, "etf": 20, "crypto": 22, "mutual_fund": 10}
ORDER_TYPES = {
    "stock": {"market": 38, "limit": 48, "stop": 8, "stop_limit": 6},
    "etf": {"market": 50, "limit": 42, "stop": 6, "stop_limit": 2},
    "mutual_fund": {"market": 1},
    "crypto": {"market": 45, "limit": 45, "stop": 5, "stop_limit": 5},
}
# What the user of a limit order chooses; any other order lasts for the day or, for crypto, for good.
TIMES_IN_FORCE = {
    "stock": {"day": 70, "gtc": 16, "ioc": 8, "fok": 6},
    "etf": {"day": 75, "gtc": 15, "ioc": 5, "fok": 5},
    "crypto": {"gtc": 82, "ioc": 10, "fok": 8},
}
# What a request usually comes to, in dollars: from one to the other, small ones more often.
SPENDING = (50, 20_000)
# One request in sixteen is refused: real retail brokers refuse one in fifty, too few to see in a demo.
MISTAKEN = 1 / 16
TYPING_ERRORS = {
    "AAPL": "APPL",
    "TSLA": "TESLA",
    "NVDA": "NVIDA",
    "MSFT": "MFST",
    "SPY": "SPYY",
    "BTC-USD": "BITCOIN",
}
# The best price for a limit is this many swings from the last one: near enough for the walk to reach.
LIMIT_SWINGS = 4.0


def user_name(index: int) -> str:
    """ann, ben, … zoe, then user-0027 and on."""
    return NAMES[index] if index < len(NAMES) else f"user-{index + 1:04d}"


class Crowd:
    """`users` people; the n-th asks for 1/n of what the first does. Everything random comes from `rng`."""

    def __init__(self, rng: Random, users: int) -> None:
        self._rng = rng
        self._users = range(users)
        self._shares = list(accumulate(1 / (index + 1) for index in self._users))

    def user(self) -> str:
        """Whoever acts next."""
        return user_name(self._rng.choices(self._users, cum_weights=self._shares)[0])

    def request(self, market: Market) -> Request:
        """What somebody asks for next: mostly sensible, sometimes a mistake that the desk refuses."""
        asset_class = self._pick(ASSET_CLASSES)
        traded = [one for one in INSTRUMENTS.values() if one.asset_class == asset_class]
        instrument = self._rng.choice(traded)
        request = self._sensible(instrument, market.price(instrument.symbol) or instrument.opening)
        return self._mistaken(request, instrument) if self._rng.random() < MISTAKEN else request

    def new_terms(self, instrument: Instrument, last: Decimal, side: str) -> Decimal:
        """A limit price for somebody who no longer wants to wait: the last price or a little worse."""
        return self._away(instrument, last, -1.0 if side == "buy" else 1.0, most=0.5)

    def _sensible(self, instrument: Instrument, last: Decimal) -> Request:
        asset_class = instrument.asset_class
        order_type = self._pick(ORDER_TYPES[asset_class])
        side = "buy" if self._rng.random() < 0.58 else "sell"
        down = 1.0 if side == "buy" else -1.0
        price = stop_price = None
        if order_type in ("stop", "stop_limit"):
            # A stop waits for the market to go the way that its user fears: up for a buyer.
            stop_price = self._away(instrument, last, -down, most=LIMIT_SWINGS / 2)
        if order_type == "stop_limit":
            price = self._away(instrument, stop_price or last, -down, most=LIMIT_SWINGS)
        if order_type == "limit":
            impatient = self._rng.random() < 0.35
            price = self._away(instrument, last, -down if impatient else down, most=LIMIT_SWINGS)
        return Request(
            symbol=instrument.symbol,
            asset_class=asset_class,
            side=side,
            order_type=order_type,
            time_in_force=self._time_in_force(asset_class, order_type),
            platform=self._pick(PLATFORMS),
            quantity=self._quantity(instrument, last),
            price=price,
            stop_price=stop_price,
        )

    def _mistaken(self, request: Request, instrument: Instrument) -> Request:
        mistake = self._rng.randrange(4)
        if mistake == 0 and request.symbol in TYPING_ERRORS:
            return replace(request, symbol=TYPING_ERRORS[request.symbol])
        if mistake == 1 and request.price is not None:
            far = request.price * (1 + 2 * PRICE_BAND)
            return replace(request, price=far // instrument.tick * instrument.tick)
        if mistake == 2 and instrument.lot == 1:
            return replace(request, quantity=request.quantity + Decimal("0.5"))
        lots = BUYING_POWER * 3 // (instrument.opening * instrument.lot)
        return replace(request, side="buy", quantity=plain(lots * instrument.lot))

    def _time_in_force(self, asset_class: str, order_type: str) -> str:
        if order_type == "limit":
            return self._pick(TIMES_IN_FORCE[asset_class])
        return "gtc" if asset_class == "crypto" else "day"

    def _quantity(self, instrument: Instrument, last: Decimal) -> Decimal:
        least, most = SPENDING
        dollars = Decimal(round(least * (most / least) ** self._rng.random()))
        lots = max(1, int(dollars / last / instrument.lot))
        return plain(lots * instrument.lot)

    def _away(self, instrument: Instrument, last: Decimal, down: float, *, most: float) -> Decimal:
        """A price up to `most` swings below `last`, where `down` is 1, or above it, where -1; on a tick."""
        share = down * instrument.swing * self._rng.uniform(0, most)
        ticks = round(float(last / instrument.tick) * (1 - share))
        return max(1, ticks) * instrument.tick

    def _pick(self, weights: dict[str, int]) -> str:
        return self._rng.choices(list(weights), list(weights.values()))[0]
