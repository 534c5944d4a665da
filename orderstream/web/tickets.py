"""`POST /v1/tickets`: a ticket for an EventSource that carries neither header nor cookie."""

import msgspec
from aiohttp import web

from orderstream.core.claims import Identity
from orderstream.web.headers import PRIVATE
from orderstream.web.limits import LIMITS
from orderstream.web.seats import AUTHENTICATOR
from orderstream.web.standing import for_user
from orderstream.web.ticket_desk import TICKET_S


class Ticket(msgspec.Struct, frozen=True):
    """What opens one stream, once, within `expires_in_s` seconds: `?ticket=`."""

    ticket: str
    expires_in_s: int


@for_user
async def issue_ticket(request: web.Request, identity: Identity) -> web.Response:
    """201 with the ticket; a body is not read."""
    request.app[LIMITS].admit_user(identity.user_id)
    ticket = await request.app[AUTHENTICATOR].tickets.issue(identity)
    return web.Response(
        status=201,
        body=msgspec.json.encode(Ticket(ticket, TICKET_S)),
        content_type="application/json",
        headers=PRIVATE,
    )
