"""`POST /v1/acks`: a client says how far it has applied, so that the time from the write to its word is known.

A client's clock is not asked for: the time from the event's `written_at` to the arrival of the word is the meter's to
take, as it does for what was sent. Only memory is looked at, the user's own channel and the session's own deliveries:
whoever acknowledges can make us neither read the table nor count an event twice for a delivery.
"""

from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from orderstream.core import orders as documents
from orderstream.core.claims import Identity
from orderstream.core.cursor import Cursor, parse_cursor
from orderstream.errors import InvalidParameter, UnsupportedMediaType
from orderstream.web.headers import PRIVATE
from orderstream.web.limits import LIMITS
from orderstream.web.seats import HUB, METER, SESSIONS
from orderstream.web.standing import for_user


class Ack(msgspec.Struct, frozen=True):
    """The newest event that the client applied, and by which transport it came."""

    cursor: documents.Cursor
    transport: Annotated[Literal["sse", "poll"], Meta(description="`sse` is the stream.")]


@for_user
async def acknowledge(request: web.Request, identity: Identity) -> web.Response:
    """204, whether the event was counted or is none that is known here: a client can do nothing about it."""
    request.app[LIMITS].admit_user(identity.user_id)
    cursor, transport = await _read(request)
    event = request.app[HUB].event(identity.user_id, cursor)
    if event is not None and request.app[SESSIONS].acknowledge(identity, transport, cursor):
        request.app[METER].acknowledged(transport, event)
    return web.Response(status=204, headers=PRIVATE)


async def _read(request: web.Request) -> tuple[Cursor, str]:
    if request.content_type != "application/json":
        raise UnsupportedMediaType("the body must be application/json")
    try:
        ack = msgspec.json.decode(await request.read(), type=Ack)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What msgspec says of it may quote it.
        raise InvalidParameter('the body must be {"cursor": "<epoch>.<seq>", "transport": "sse" or "poll"}') from None
    cursor = parse_cursor(ack.cursor)
    if cursor is None:
        raise InvalidParameter("cursor must be one that was received")
    return cursor, ack.transport
