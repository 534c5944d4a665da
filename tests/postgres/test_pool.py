"""The pool: what is done again, and what is not."""

import asyncio

import pytest

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.pool import Pool
from tests.postgres.feed import run
from tests.waiting import eventually

ENDED = (
    "select count(pg_cancel_backend(pid)) from pg_stat_activity where application_name = 'orderstream reads'"
    " and datname = current_database() and state = 'active' and wait_event = 'PgSleep'"
)


async def test_query_that_was_ended_by_hand_is_not_asked_again(database: str) -> None:
    """Whoever ends what takes too long would have it twice."""
    run(database, "create sequence public.asked")
    pool = Pool(database, size=1, timeout_s=60)
    asking = asyncio.create_task(pool.fetch("select nextval('public.asked'), pg_sleep(60)"))
    await eventually(lambda: run(database, ENDED) == [(1,)])
    with pytest.raises(DatabaseUnavailable):
        await asking
    await pool.close()
    assert run(database, "select last_value from public.asked") == [(1,)]
