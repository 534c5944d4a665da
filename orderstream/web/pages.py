"""Pages of lists: what a query may ask of one, and how the next one is named."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec
from aiohttp import web

from orderstream.errors import InvalidParameter
from orderstream.web.headers import PRIVATE

MAX_LIMIT = 200
_DEFAULT_LIMIT = 50

K = TypeVar("K")


def text(request: web.Request, name: str) -> str | None:
    """A parameter of any words."""
    value = request.query.get(name)
    if value is not None and (not value or len(value) > 255 or not value.isprintable()):
        raise InvalidParameter(f"{name} must be 1 to 255 printable characters")
    return value


def time(request: web.Request, name: str) -> datetime | None:
    """A parameter that is a time in RFC 3339, with its offset."""
    value = request.query.get(name)
    if value is None:
        return None
    try:
        # In a query a plus is a blank, as browsers have it.
        at = msgspec.convert(value.replace(" ", "+"), datetime)
    except msgspec.ValidationError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidParameter(f"{name} must be a time as in RFC 3339, such as 2026-01-31T00:00:00Z")
    return at


def limit(request: web.Request) -> int:
    """How many."""
    value = request.query.get("limit")
    if value is None:
        return _DEFAULT_LIMIT
    if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= MAX_LIMIT):
        raise InvalidParameter(f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return int(value)


def key(request: web.Request, kind: type[K]) -> K | None:
    """The key in the page that is asked for; what is not one of ours is refused here or, at the latest, by the
    column's type."""
    page = request.query.get("page")
    if page is None:
        return None
    try:
        padded = page.encode("ascii") + b"=" * (-len(page) % 4)
        found = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, ValueError):
        raise not_a_page() from None
    if isinstance(found, tuple) and any("\0" in part for part in found):
        raise not_a_page()
    return found


def not_a_page() -> InvalidParameter:
    """What a client made up."""
    return InvalidParameter("page must be the `next` of an earlier answer")


def answer(
    request: web.Request, name: str, items: Sequence[bytes], next_key: object, more: bytes = b""
) -> web.Response:
    """`{name: items, next}`, with a link where a page follows; `more` are fields between them, each before a comma."""
    headers, page = dict(PRIVATE), None
    if next_key is not None:
        page = base64.urlsafe_b64encode(msgspec.json.encode(next_key)).rstrip(b"=").decode()
        # The query alone, relative to what the client asked for: a proxy may have put us under another path.
        query = request.rel_url.update_query(page=page).raw_query_string
        headers["Link"] = f'<?{query}>; rel="next"'
    body = b'{"%b":[%b],%b"next":%b}' % (name.encode(), b",".join(items), more, msgspec.json.encode(page))
    return web.Response(body=body, content_type="application/json", headers=headers)
