"""The order desk: which requests become orders, and in a person's words why the others do not.

`place` is the seat for a page that places orders: it answers at once with an order to insert, or with what
to change. The exchange puts the same rules to an order that is pending_new in the table, since who inserted
it may not have asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from .lives import Order, plain
from .market import INSTRUMENTS, Instrument
from .prices import Prices

# What any one user may spend on one order; there are no accounts here. A sensible order is a tenth of it.
BUYING_POWER = Decimal(250_000)
# How far a limit or stop may be from the last price, as a share: far enough for any order meant in earnest.
PRICE_BAND = Decimal("0.2")

ORDER_TYPES = {
    "stock": ("market", "limit", "stop", "stop_limit"),
    "etf": ("market", "limit", "stop", "stop_limit"),
    "mutual_fund": ("market",),
    "crypto": ("market", "limit", "stop", "stop_limit"),
}
TIMES_IN_FORCE = {
    "stock": ("day", "gtc", "ioc", "fok"),
    "etf": ("day", "gtc", "ioc", "fok"),
    "mutual_fund": ("day",),
    "crypto": ("gtc", "ioc", "fok"),
}
# Far above any holding, and far below where dividing into lots would need more than a Decimal's 28 digits.
MOST_QUANTITY = Decimal(10) ** 12
# Markets with hours; crypto trades round the clock, and a fund takes orders for its next NAV at any time.
HAS_HOURS = frozenset({"stock", "etf"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks for. `price` is the limit of limit and stop_limit, `stop_price` the stop."""

    symbol: str
    asset_class: str
    side: str
    order_type: str
    time_in_force: str
    platform: str
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    reason_code: str
    reason: str


def place(
    request: Request, user_id: str, market: Prices, *, is_open: bool, new_id: Callable[[], UUID]
) -> Order | Rejection:
    """The order to insert as pending_new, or why there is none. `is_open`: stocks and ETFs trade now."""
    order = ordered(request, user_id, new_id)
    return check(order, market, is_open=is_open) or order


def ordered(request: Request, user_id: str, new_id: Callable[[], UUID]) -> Order:
    """The request as an order, unchecked."""
    return Order(
        id=new_id(),
        user_id=user_id,
        client_order_id=f"{request.platform}-{new_id().hex[:12]}",
        symbol=request.symbol,
        asset_class=request.asset_class,
        side=request.side,
        order_type=request.order_type,
        time_in_force=request.time_in_force,
        platform=request.platform,
        quantity=request.quantity,
        price=request.price,
        stop_price=request.stop_price,
    )


def check(order: Order, market: Prices, *, is_open: bool) -> Rejection | None:
    """The first thing that is wrong with a new order."""
    instrument, last = INSTRUMENTS.get(order.symbol), market.price(order.symbol)
    if instrument is None or last is None or instrument.asset_class != order.asset_class:
        return Rejection("unknown_symbol", f"We do not know {order.symbol}. Check the symbol and try again.")
    return (
        _kind(order, instrument)
        or _quantity(order, instrument)
        or _prices(order, instrument, last)
        or _buying_power(order, last)
        or _hours(order, is_open)
    )


def _kind(order: Order, instrument: Instrument) -> Rejection | None:
    if order.side not in ("buy", "sell"):
        return Rejection("unsupported_side", "An order either buys or sells.")
    if order.order_type not in ORDER_TYPES[instrument.asset_class]:
        words = f"{instrument.name} takes no {order.order_type.replace('_', ' ')} orders."
        return Rejection("unsupported_order_type", words)
    if order.time_in_force not in TIMES_IN_FORCE[instrument.asset_class]:
        words = f"{instrument.name} takes no {order.time_in_force} orders."
        return Rejection("unsupported_time_in_force", words)
    return None


def _quantity(order: Order, instrument: Instrument) -> Rejection | None:
    if not order.quantity.is_finite() or order.quantity <= 0:
        return Rejection("bad_quantity", "Enter a quantity above zero.")
    if order.quantity > MOST_QUANTITY:
        return Rejection("bad_quantity", "That is more than exists. Enter a smaller quantity.")
    if order.quantity % instrument.lot:
        words = f"{order.symbol} trades in steps of {plain(instrument.lot)}, not {plain(order.quantity)}."
        return Rejection("bad_quantity", words)
    return None


def _prices(order: Order, instrument: Instrument, last: Decimal) -> Rejection | None:
    wanted = {
        "limit": (order.price, order.order_type in ("limit", "stop_limit")),
        "stop": (order.stop_price, order.order_type in ("stop", "stop_limit")),
    }
    for word, (price, needed) in wanted.items():
        if (price is not None) != needed:
            what = "needs a" if needed else "has no"
            return Rejection("bad_price", f"A {order.order_type.replace('_', ' ')} order {what} {word} price.")
        if price is not None and (rejection := _price(word, price, instrument, last)):
            return rejection
    return None


def _price(word: str, price: Decimal, instrument: Instrument, last: Decimal) -> Rejection | None:
    if not price.is_finite() or abs(price - last) > PRICE_BAND * last:
        share = f"{PRICE_BAND:.0%}".replace("%", "\N{NO-BREAK SPACE}%")
        words = f"Your {word} price of ${price:,} is more than {share} away from the last price, ${last:,}."
        return Rejection("price_out_of_range", words)
    if price % instrument.tick:
        return Rejection("bad_price", f"{instrument.symbol} is priced in steps of ${plain(instrument.tick)}.")
    return None


def _buying_power(order: Order, last: Decimal) -> Rejection | None:
    cost = order.quantity * (order.price or order.stop_price or last)
    if order.side == "sell" or cost <= BUYING_POWER:
        return None
    words = f"This order needs about ${cost:,.2f}, and you have ${BUYING_POWER:,.2f} to trade with."
    return Rejection("insufficient_buying_power", words)


def _hours(order: Order, is_open: bool) -> Rejection | None:
    if is_open or order.asset_class not in HAS_HOURS:
        return None
    return Rejection("market_closed", "The market has just closed. Try again when it opens, in a moment.")
