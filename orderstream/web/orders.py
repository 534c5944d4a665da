"""`GET /v1/orders` and `GET /v1/orders/{order_id}`: the user's orders as they are now."""

import base64
import binascii

import msgspec
from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.errors import InvalidParameter
from orderstream.web.headers import PRIVATE
from orderstream.web.limits import LIMITS
from orderstream.web.seats import ORDERS
from orderstream.web.standing import for_user

MAX_LIMIT = 200
_DEFAULT_LIMIT = 50
_OPEN = {"open": True, "closed": False, "all": None}


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
        symbol=_text(request, "symbol"),
        before=_before(request.query.get("page")),
        limit=_limit(request.query.get("limit")),
    )
    headers, next_page = dict(PRIVATE), None
    if page.next_key is not None:
        next_page = _page(page.next_key)
        # The query alone, relative to what the client asked for: a proxy may have put us under another path.
        query = request.rel_url.update_query(page=next_page).raw_query_string
        headers["Link"] = f'<?{query}>; rel="next"'
    body = b'{"orders":[%b],"cursor":"%b","next":%b}' % (
        b",".join(page.orders),
        str(page.cursor).encode(),
        msgspec.json.encode(next_page),
    )
    return web.Response(body=body, content_type="application/json", headers=headers)


@for_user
async def one_order(request: web.Request, identity: Identity) -> web.Response:
    """One order with its executions, oldest first."""
    request.app[LIMITS].admit_user(identity.user_id)
    order_id = request.match_info["order_id"]
    if len(order_id) > 255 or not order_id.isprintable():
        raise InvalidParameter("this is not an order id")
    order, executions = await request.app[ORDERS].order(identity.user_id, order_id)
    body = b'{"order":%b,"executions":[%b]}' % (order, b",".join(executions))
    return web.Response(body=body, content_type="application/json", headers=PRIVATE)


def _text(request: web.Request, name: str) -> str | None:
    text = request.query.get(name)
    if text is not None and (not text or len(text) > 255 or not text.isprintable()):
        raise InvalidParameter(f"{name} must be 1 to 255 printable characters")
    return text


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidParameter(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _page(key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def _before(page: str | None) -> tuple[str, str] | None:
    """The key in a page token; what is not one of ours is refused here or, at the latest, by the column's type."""
    if page is None:
        return None
    try:
        padded = page.encode("ascii") + b"=" * (-len(page) % 4)
        key = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=tuple[str, str])
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, ValueError):
        raise InvalidParameter("page must be the `next` of an earlier answer") from None
    if any("\0" in part for part in key):
        raise InvalidParameter("page must be the `next` of an earlier answer")
    return key
