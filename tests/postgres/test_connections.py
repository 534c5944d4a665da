"""Sessions: what cancelling does, and what is said of one that is lost."""

import asyncio

import pytest

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import open_session
from tests.postgres.feed import run
from tests.services import PATIENCE_S
from tests.waiting import eventually, heeds_cancelling


@pytest.mark.parametrize("turns", range(6))
async def test_cancelling_as_the_answer_arrives_is_heeded(database: str, turns: int) -> None:
    """At whichever turn of the loop it comes, between the answer on the socket and the task that takes it."""
    session = await open_session(database, name="test", timeout_s=PATIENCE_S)

    async def ask_for_ever() -> None:
        while True:
            await session.fetch("select 1")

    assert await heeds_cancelling(asyncio.create_task(ask_for_ever()), turns)
    await session.close()


async def test_session_that_is_lost_says_so_each_time(database: str) -> None:
    """Whoever asks again, to leave in good order, is told the same."""
    session = await open_session(database, name="test", timeout_s=PATIENCE_S)
    run(
        database,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'orderstream test' and datname = current_database()",
    )
    await eventually(lambda: session.lost)
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await session.fetch("select 1")
        with pytest.raises(DatabaseUnavailable):
            await session.notified(1.0)
    await session.close()
