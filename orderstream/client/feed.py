"""`async for event in Feed(url, token)`: a user's order events, whatever the network does.

What is known (the book) belongs to the feed and outlives its connections; how it is heard belongs to `line`.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable

import aiohttp

from orderstream.client import wire
from orderstream.client.acks import Acks
from orderstream.client.book import Book
from orderstream.client.credential import Credential, Token
from orderstream.client.events import Connection, Event, Order
from orderstream.client.limits import Limits
from orderstream.client.line import Line, Sleep, Surroundings


class Feed:
    """One user's feed. Read again after a `break`, it goes on from where it was.

    `token` is a JWT or a coroutine function that fetches one; `cursor` continues an earlier feed, whose
    orders then come only as they change. `clock` gives Unix seconds, `random` floats in [0, 1). Reading
    raises SignedOut and FeedEnded, and what `token` raises unless it is an OSError or aiohttp's.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        cursor: str | None = None,
        session: aiohttp.ClientSession | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = random.random,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._url = url
        self._session = session
        self._book = Book()
        self._book.cursor = wire.cursor(cursor) if cursor is not None else None
        self._around = Surroundings(limits or Limits(), clock, random, sleep)
        self._credential = Credential(token, clock, self._around.limits.jwt_margin_s)
        self._acks = Acks(self._around.limits, clock, random)
        self._line = self._new_line()
        self._reading = False

    @property
    def orders(self) -> dict[str, Order]:
        """order id -> Order, as of the last event given out."""
        return self._book.orders

    @property
    def cursor(self) -> str | None:
        """To continue from, in this process or another; None before the first snapshot."""
        return str(self._book.cursor) if self._book.cursor else None

    @property
    def connection(self) -> Connection:
        return self._line.connection

    @property
    def malformed(self) -> int:
        """Events that could not be understood since the feed was made; each was repaired by a snapshot."""
        return self._book.malformed

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        if self._reading:
            raise RuntimeError("a feed is read by one loop at a time")
        self._reading = True
        session = self._session or aiohttp.ClientSession()
        self._line = self._new_line()
        try:
            async for event in self._line.events(session):
                yield event
        finally:
            await self._line.close()
            if self._session is None:
                await session.close()
            self._reading = False

    def _new_line(self) -> Line:
        return Line(self._url, self._credential, self._book, self._acks, self._around)
