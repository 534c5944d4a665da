"""A session that must be ours alone, behind a pooler that lets it be so; tests/doctor has the other kind."""

import pytest

from orderstream.postgres.pooling import LastingSession, Pooled, open_lasting
from tests.doctor.bouncer import pgbouncer
from tests.services import PATIENCE_S


async def lasting(dsn: str) -> LastingSession:
    return await open_lasting(dsn, name="test", timeout_s=PATIENCE_S)


async def test_session_without_a_pooler_is_told_by_its_server(database: str) -> None:
    """So nothing is asked of a second one."""
    session = await lasting(database)
    direct = session.direct
    await session.close()
    assert direct


async def test_session_is_ours_as_long_as_nobody_else_marks_its_server(database: str) -> None:
    """As the next client does once the pooler lends it."""
    async with pgbouncer(database, mode="session", connections=4) as dsn:
        session = await lasting(dsn)
        await session.require_mark()
        await session.fetch("set orderstream.session = 'somebody'")
        with pytest.raises(Pooled):
            await session.require_mark()
        await session.close()


async def test_session_is_opened_where_no_second_one_is_to_be_had(database: str) -> None:
    """It cannot be made sure of then, and is of use all the same."""
    async with pgbouncer(database, mode="session", connections=1) as dsn:
        session = await lasting(dsn)
        assert await session.fetch("select 1") == [(1,)]
        await session.close()
