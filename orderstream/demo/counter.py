"""Where the demo's page places and cancels orders: a stand-in for a platform's order service.

It writes `public.orders` as such a service does and knows nothing of streams; the exchange finds what it wrote there.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg2
from aiohttp import web

from orderstream.core.devices import platform
from orderstream.errors import DatabaseUnavailable, NotFound
from orderstream.web.problems import type_of

from . import desk, prices
from .desk import Rejection, Request
from .lives import BY_HAND, Change, plain
from .market import INSTRUMENTS, Instrument
from .signing_in import NO_STORE, body_of, identify
from .tables import Tables, open_tables

_DATABASE_URL: web.AppKey[str] = web.AppKey("demo_database_url", str)
_PRICES: web.AppKey[Path] = web.AppKey("demo_prices", Path)

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{0,12})?|\.[0-9]{1,12}")
# Which field of the form a rejection is about; others are about the order as a whole.
_FIELDS = {
    "unknown_symbol": "symbol",
    "unsupported_side": "side",
    "unsupported_order_type": "order_type",
    "bad_quantity": "quantity",
    "insufficient_buying_power": "quantity",
}


class Form(msgspec.Struct, frozen=True):
    """What the page sends; numbers as they were typed, empty where there is none."""

    symbol: str
    side: str
    order_type: str
    quantity: str
    price: str = ""
    stop_price: str = ""


def add_to(app: web.Application, database_url: str, prices_path: Path) -> None:
    """`/demo/instruments` and `/demo/orders`."""
    app[_DATABASE_URL] = database_url
    app[_PRICES] = prices_path
    app.add_routes(
        [
            web.get("/demo/instruments", instruments, allow_head=False),
            web.post("/demo/orders", place),
            web.post("/demo/orders/{order_id}/cancel", cancel),
            web.get("/demo/orders/{order_id}/events", events, allow_head=False),
        ]
    )


async def instruments(request: web.Request) -> web.Response:
    """What is traded, and the last prices."""
    await identify(request)
    board = prices.read(request.app[_PRICES])
    return _json({"is_open": board.is_open, "instruments": [_shown(one, board) for one in INSTRUMENTS.values()]})


async def place(request: web.Request) -> web.Response:
    """201 with the order's id, or 422 that says in words what to change, and in which field."""
    identity = await identify(request)
    board = prices.read(request.app[_PRICES])
    wanted = _request(await body_of(request, Form), platform(*_hints(request)))
    if isinstance(wanted, Rejection):
        return _refused(wanted)
    order = desk.place(wanted, identity.user_id, board, is_open=board.is_open, new_id=uuid4)
    if isinstance(order, Rejection):
        return _refused(order)
    async with _tables(request) as tables:
        await tables.write(Change(replace(order, client_order_id=f"{BY_HAND}{order.id.hex[:12]}")))
    return _json({"id": str(order.id)}, 201)


async def cancel(request: web.Request) -> web.Response:
    """202: the exchange is asked to. 409 where there is nothing left to cancel."""
    identity = await identify(request)
    async with _tables(request) as tables:
        if await tables.ask_to_cancel(identity.user_id, _order_id(request)):
            return web.Response(status=202, headers=NO_STORE)
    return _problem(409, "not-open", "This order can no longer be cancelled.")


async def events(request: web.Request) -> web.Response:
    """What happened to an order, as its stream told it, oldest first."""
    identity = await identify(request)
    async with _tables(request) as tables:
        bodies = await tables.events(identity.user_id, _order_id(request))
    body = '{"events":[' + ",".join(bodies) + "]}"
    return web.Response(text=body, content_type="application/json", headers=NO_STORE)


@asynccontextmanager
async def _tables(request: web.Request) -> AsyncIterator[Tables]:
    # A person asks seldom enough for a connection each time, and none can then be stale.
    try:
        async with open_tables(request.app[_DATABASE_URL], "demo page") as tables:
            yield tables
    except (psycopg2.OperationalError, psycopg2.InterfaceError, OSError) as error:
        raise DatabaseUnavailable("the database does not answer") from error


def _request(form: Form, used: str) -> Request | Rejection:
    numbers: dict[str, Decimal | None] = {}
    for field, asked in (("quantity", "a quantity"), ("price", "a price"), ("stop_price", "a stop price")):
        text = getattr(form, field).strip().replace(",", "")
        if text and not _NUMBER.fullmatch(text):
            return Rejection(f"not_a_number:{field}", f"Enter {asked} as a number, like 12.5.")
        numbers[field] = Decimal(text) if text else None
    symbol = form.symbol.strip().upper()
    if not symbol or len(symbol) > 20 or not symbol.isprintable():
        return Rejection("unknown_symbol", "Choose what to trade.")
    asset_class = INSTRUMENTS[symbol].asset_class if symbol in INSTRUMENTS else "stock"
    times = desk.TIMES_IN_FORCE[asset_class]
    return Request(
        symbol=symbol,
        asset_class=asset_class,
        side=form.side,
        order_type=form.order_type,
        time_in_force="gtc" if "gtc" in times else times[0],
        platform="mobile" if used == "mobile" else "web",
        quantity=numbers["quantity"] or Decimal(0),
        price=numbers["price"],
        stop_price=numbers["stop_price"],
    )


def _refused(rejection: Rejection) -> web.Response:
    code, _, field = rejection.reason_code.partition(":")
    if not field:
        # The desk has one code for both prices, and says in words which.
        about_price = "stop_price" if " stop price" in rejection.reason else "price"
        field = _FIELDS.get(code) or (about_price if "price" in code else "")
    return _problem(422, code.replace("_", "-"), rejection.reason, field=field or None)


def _problem(status: int, kind: str, detail: str, **more: Any) -> web.Response:
    body = {"type": type_of(kind), "title": kind.replace("-", " ").capitalize(), "status": status, "detail": detail}
    answer = _json(body | more, status)
    answer.content_type = "application/problem+json"
    return answer


def _shown(instrument: Instrument, board: prices.Board) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "name": instrument.name,
        "asset_class": instrument.asset_class,
        "price": board.price(instrument.symbol),
        "tick": plain(instrument.tick),
        "lot": plain(instrument.lot),
        "order_types": desk.ORDER_TYPES[instrument.asset_class],
    }


def _order_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["order_id"])
    except ValueError:
        raise NotFound("there is no such order") from None


def _hints(request: web.Request) -> tuple[str, str]:
    return request.headers.get("User-Agent", ""), request.headers.get("Sec-CH-UA-Mobile", "")


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json", headers=NO_STORE
    )
