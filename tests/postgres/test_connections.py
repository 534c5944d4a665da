"""Sessions: what cancelling does."""

import asyncio
import time

import pytest

from orderstream.postgres.connections import open_session


@pytest.mark.parametrize("turns", range(6))
async def test_cancelling_as_the_answer_arrives_is_heeded(database: str, turns: int) -> None:
    """At whichever turn of the loop it comes, between the answer on the socket and the task that takes it."""
    session = await open_session(database, name="test", timeout_s=5)

    async def ask_for_ever() -> None:
        while True:
            await session.fetch("select 1")

    asking = asyncio.create_task(ask_for_ever())
    await asyncio.sleep(0)
    time.sleep(0.02)  # The loop stands still until the answer is there.
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    done, _ = await asyncio.wait([asking], timeout=2)
    asking.cancel()
    assert done
    assert asking.cancelled()
    await session.close()
