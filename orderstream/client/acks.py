"""Tells the server now and then that an event came, so that it knows how long that takes.

Sampled, beside the feed, and never a trouble of it: one at a time, for a bounded time, and a failure is left at that.
"""

import asyncio
from collections.abc import Callable

from orderstream.client.events import Transport
from orderstream.client.limits import Limits
from orderstream.client.transports import Link
from orderstream.client.wire import Cursor

_ON_THE_WIRE = {Transport.SSE: "sse", Transport.LONG_POLL: "poll"}


class Sampling:
    """When to acknowledge. Pure: `random` gives floats in [0, 1)."""

    def __init__(self, every_s: float, random: Callable[[], float]) -> None:
        self._every_s = every_s
        self._random = random
        self._due_s = 0.0
        self._under_way = False

    def take(self, at_s: float) -> bool:
        """Whether to acknowledge what came now; then `done` must follow."""
        if self._every_s <= 0 or self._under_way or at_s < self._due_s:
            return False
        self._under_way = True
        # Clients that were told of the same fill must not all acknowledge the next one too.
        self._due_s = at_s + self._every_s * (1 + self._random())
        return True

    def done(self) -> None:
        """It was answered, or failed."""
        self._under_way = False


class Acks:
    """The acknowledgements of one feed, whatever connections it has."""

    def __init__(self, limits: Limits, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._clock = clock
        self._sampling = Sampling(limits.ack_every_s, random)
        self._sending: asyncio.Task[None] | None = None

    def offer(self, link: Link, cursor: Cursor, transport: Transport) -> None:
        """An event came live and was applied. Never waits."""
        if self._sampling.take(self._clock()):
            body = {"cursor": str(cursor), "transport": _ON_THE_WIRE[transport]}
            self._sending = asyncio.create_task(self._send(link, body))

    async def close(self) -> None:
        """Gives up the one that is under way; others may follow."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
            # Cancelled before it began, it could not say so.
            self._sampling.done()

    async def _send(self, link: Link, body: dict[str, str]) -> None:
        try:
            async with asyncio.timeout(link.limits.first_byte_s), link.post("/v1/acks", body):
                pass
        # The top of a background task, whose failure is nobody's: the next one may come through.
        except Exception:  # noqa: BLE001
            pass
        finally:
            self._sampling.done()
