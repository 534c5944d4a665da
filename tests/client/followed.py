"""A feed that is read beside a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from orderstream.client import Event, Feed


@asynccontextmanager
async def followed(feed: Feed) -> AsyncIterator[list[Event]]:
    """What it has told so far; it must not end within the block."""
    told: list[Event] = []

    async def read() -> None:
        async with aclosing(aiter(feed)) as events:  # type: ignore[type-var]
            async for event in events:
                told.append(event)

    reading = asyncio.create_task(read())
    try:
        yield told
        assert not reading.done(), reading
    finally:
        reading.cancel()
        await asyncio.wait([reading])
