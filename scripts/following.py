"""Who looks while pictures are taken: the users of a demo, with the Python client, who come back now and then."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

from orderstream.client import Feed

# How long one looks before they come back.
STAYS_S = (5.0, 60.0)


@asynccontextmanager
async def everybody(url: str, each: int = 2) -> AsyncIterator[None]:
    """`each` connections of every user, until the end of the block."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        async with session.get(f"{url}/demo/session") as answer:
            users = (await answer.json())["users"]
        looking = [asyncio.create_task(_look(session, url, user)) for user in users for _ in range(each)]
        try:
            yield
        finally:
            for task in looking:
                task.cancel()
            # What one failed with, if it did.
            for ended in await asyncio.gather(*looking, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    raise RuntimeError("one who looked did not stay") from ended


async def _look(session: aiohttp.ClientSession, url: str, user: str) -> None:
    async with session.post(f"{url}/demo/session", json={"user": user}) as answer:
        [cookie] = answer.cookies.values()
    feed = Feed(url, cookie.value, session=session)
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(*STAYS_S)):
                async for _ in feed:
                    pass
