"""The demo's connections: what cancelling does, by which a lost database ends a whole group of them."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from orderstream.demo.tables import open_tables
from tests.waiting import heeds_cancelling


async def look_again_and_again(database: str) -> None:
    async with open_tables(database, "a test") as tables:
        while True:
            await tables.open_orders()


async def connect_again_and_again(database: str) -> None:
    while True:
        async with open_tables(database, "a test"):
            pass


@pytest.mark.parametrize("turns", range(5))
@pytest.mark.parametrize("work", [look_again_and_again, connect_again_and_again])
async def test_cancelling_as_the_answer_arrives_is_heeded(
    work: Callable[[str], Awaitable[None]], turns: int, database: str
) -> None:
    """At whichever turn of the loop it comes: a group that waits for one who did not heed it would wait for ever."""
    working = asyncio.ensure_future(work(database))
    await asyncio.wait([working], timeout=0.1)
    assert await heeds_cancelling(working, turns)
