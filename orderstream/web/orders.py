"""`GET /v1/orders` and what is below it, and `GET /v1/executions`: the user's orders, and what happened to them."""

from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.core.executions import Executed, net
from orderstream.core.names import lineage
from orderstream.errors import InvalidParameter
from orderstream.ports import Statement
from orderstream.web import pages
from orderstream.web.headers import PRIVATE
from orderstream.web.limits import LIMITS
from orderstream.web.seats import ORDERS
from orderstream.web.standing import for_user

_OPEN = {"open": True, "closed": False, "all": None}
# Of a user's events, as far as a bigint counts them.
_LAST_SEQ = 2**63 - 1


@for_user
async def list_orders(request: web.Request, identity: Identity) -> web.Response:
    """A page, newest first, and where the next one starts."""
    request.app[LIMITS].admit_user(identity.user_id)
    status = request.query.get("status", "all")
    if status not in _OPEN:
        raise InvalidParameter("status must be open, closed or all")
    page = await request.app[ORDERS].orders_page(
        identity.user_id,
        open_=_OPEN[status],
        symbol=pages.text(request, "symbol"),
        before=pages.key(request, tuple[str, str]),
        limit=pages.limit(request),
    )
    return pages.answer(request, "orders", page.orders, page.next_key, b'"cursor":"%b",' % str(page.cursor).encode())


@for_user
async def one_order(request: web.Request, identity: Identity) -> web.Response:
    """One order with its executions, oldest first, what they come to, and the names that it had."""
    request.app[LIMITS].admit_user(identity.user_id)
    reader, order_id = request.app[ORDERS], _order_id(request)
    order, executions = await reader.order(identity.user_id, order_id)
    named = msgspec.json.decode(order, type=_Named)
    renamings = await reader.renamings(identity.user_id, named.id)
    body = b'{"order":%b,"executions":[%b],"net":%b,"client_order_ids":%b}' % (
        order,
        b",".join(executions),
        _net(executions),
        msgspec.json.encode(_names(named, renamings)),
    )
    return web.Response(body=body, content_type="application/json", headers=PRIVATE)


@for_user
async def order_events(request: web.Request, identity: Identity) -> web.Response:
    """A page of what happened to one order and is kept, oldest first."""
    request.app[LIMITS].admit_user(identity.user_id)
    after, limit = pages.key(request, int) or 0, pages.limit(request)
    if not 0 <= after <= _LAST_SEQ:
        raise pages.not_a_page()
    events = await request.app[ORDERS].order_events(identity.user_id, _order_id(request), after=after, limit=limit + 1)
    next_key = events[limit - 1].seq if len(events) > limit else None
    return pages.answer(request, "events", [event.document for event in events[:limit]], next_key)


@for_user
async def list_executions(request: web.Request, identity: Identity) -> web.Response:
    """A page of the executions of all orders, newest first: for statements."""
    request.app[LIMITS].admit_user(identity.user_id)
    asked = Statement(
        since=pages.time(request, "since"),
        until=pages.time(request, "until"),
        symbol=pages.text(request, "symbol"),
        before=pages.key(request, tuple[str, str]),
        limit=pages.limit(request),
    )
    page = await request.app[ORDERS].executions_page(identity.user_id, asked)
    return pages.answer(request, "executions", page.executions, page.next_key)


class _Named(msgspec.Struct):
    id: str
    client_order_id: str | None = None
    original_client_order_id: str | None = None


def _order_id(request: web.Request) -> str:
    order_id = request.match_info["order_id"]
    if len(order_id) > 255 or not order_id.isprintable():
        raise InvalidParameter("this is not an order id")
    return order_id


def _net(executions: Sequence[bytes]) -> bytes:
    try:
        return net([msgspec.json.decode(one, type=Executed) for one in executions]).document
    except (ValueError, ArithmeticError):
        # NaN, or digits without end: told as they are, and not added up.
        return b"null"


def _names(order: _Named, renamings: Mapping[str, str]) -> list[str]:
    originals = dict(renamings)
    if order.client_order_id and order.original_client_order_id:
        originals[order.client_order_id] = order.original_client_order_id
    return lineage(order.client_order_id, originals)
