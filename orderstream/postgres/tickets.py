"""Tickets in the database, by their hash: one opens one stream, on whichever process it is shown to."""

import msgspec.structs

from orderstream.core.claims import Identity
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query


class PostgresTickets:
    """The port Tickets; raises DatabaseUnavailable."""

    def __init__(self, pool: Pool, *, most: int) -> None:
        self._pool = pool
        self._most = most

    async def keep(self, digest: bytes, identity: Identity, expires_in_s: float) -> None:
        await self._pool.fetch(
            query("keep_ticket"),
            {
                **msgspec.structs.asdict(identity),
                "digest": digest,
                "expires_in_s": expires_in_s,
                "others": self._most - 1,
            },
        )

    async def spend(self, digest: bytes) -> Identity | None:
        rows = await self._pool.fetch(query("spend_ticket"), {"digest": digest})
        return Identity(*rows[0]) if rows else None
