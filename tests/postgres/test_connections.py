"""Sessions: what cancelling does."""

import asyncio

import pytest

from orderstream.postgres.connections import open_session
from tests.waiting import heeds_cancelling


@pytest.mark.parametrize("turns", range(6))
async def test_cancelling_as_the_answer_arrives_is_heeded(database: str, turns: int) -> None:
    """At whichever turn of the loop it comes, between the answer on the socket and the task that takes it."""
    session = await open_session(database, name="test", timeout_s=5)

    async def ask_for_ever() -> None:
        while True:
            await session.fetch("select 1")

    assert await heeds_cancelling(asyncio.create_task(ask_for_ever()), turns)
    await session.close()
