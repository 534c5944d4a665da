"""Sessions: what cancelling does, and what is asked of one that is lost."""

import asyncio
import gc
from typing import Any

import pytest

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import open_session
from tests.postgres.feed import run
from tests.waiting import eventually, heeds_cancelling


@pytest.mark.parametrize("turns", range(6))
async def test_cancelling_as_the_answer_arrives_is_heeded(database: str, turns: int) -> None:
    """At whichever turn of the loop it comes, between the answer on the socket and the task that takes it."""
    session = await open_session(database, name="test", timeout_s=5)

    async def ask_for_ever() -> None:
        while True:
            await session.fetch("select 1")

    assert await heeds_cancelling(asyncio.create_task(ask_for_ever()), turns)
    await session.close()


async def test_session_found_lost_says_so_however_often_it_is_asked(database: str) -> None:
    """As by a leader that wants to step down on it; and nothing of the query is left behind that nobody waits for."""
    left_behind: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left_behind.append(context))
    session = await open_session(database, name="test", timeout_s=5)
    [(pid,)] = await session.fetch("select pg_backend_pid()")
    run(database, "select pg_terminate_backend(%s)", (pid,))
    await eventually(lambda: session.lost)
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await session.fetch("select 1")
    await session.close()
    del session
    gc.collect()
    assert left_behind == []
