"""Tickets: made of randomness, kept by their hash, good for one stream (docs/decisions/0005-tickets.md)."""

import hashlib
import re
import secrets

from orderstream.core.claims import Identity
from orderstream.errors import Unauthorized
from orderstream.ports import Tickets

# Long enough to fetch one and open the stream, too short to be found in a log and used.
TICKET_S = 30
# Not to be guessed: as many as the hash has that it is kept by.
_RANDOM_BYTES = 32
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


class TicketDesk:
    """Issues tickets and takes them back."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    async def issue(self, identity: Identity) -> str:
        """A ticket for one stream of `identity` within TICKET_S. Raises Unavailable."""
        ticket = secrets.token_urlsafe(_RANDOM_BYTES)
        await self._tickets.keep(_digest(ticket), identity, TICKET_S)
        return ticket

    async def spend(self, ticket: str) -> Identity:
        """Whose it was. Raises Unauthorized, the same for one that is spent, over or made up, or Unavailable."""
        identity = await self._tickets.spend(_digest(ticket)) if _SHAPE.fullmatch(ticket) else None
        if identity is None:
            raise Unauthorized("the ticket is not good: get a new one and open a new stream", "invalid_token")
        return identity


def _digest(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()
