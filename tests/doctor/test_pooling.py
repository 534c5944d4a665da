"""A pooler in between is told by what it does to a session."""

import pytest

from orderstream.doctor.findings import Verdict
from orderstream.doctor.pooling import check_sessions
from tests.doctor.bouncer import pgbouncer
from tests.doctor.looks import WRONG, led, look
from tests.postgres.feed import run
from tests.postgres.roles import Roles

LEFT_BEHIND = (
    "select 1 from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' "
    "and l.database = (select oid from pg_database where datname = current_database())"
)


@pytest.mark.parametrize("connections", [1, 4])
async def test_pgbouncer_in_transaction_mode_is_found(roles: Roles, connections: int) -> None:
    """However many servers it has; no lock is left on any of them."""
    async with pgbouncer(roles.service, mode="transaction", connections=connections) as dsn:
        finding = await check_sessions(dsn)
        assert (finding.check, finding.verdict) == ("sessions", WRONG)
        assert finding.what.startswith("a pooler in between gives servers out by the transaction")
        assert run(roles.admin, LEFT_BEHIND) == []


async def test_pgbouncer_in_session_mode_is_as_good_as_none(roles: Roles) -> None:
    """It is not its name that is in the way."""
    async with pgbouncer(roles.service, mode="session", connections=4) as dsn:
        assert (await check_sessions(dsn)).verdict is Verdict.OK


async def test_everything_else_is_looked_at_through_a_transaction_pooler_too(roles: Roles) -> None:
    """And is well: its sessions are not taken for what they cannot be."""
    async with led(roles.service), pgbouncer(roles.service, mode="transaction", connections=4) as dsn:
        assert list(await look(dsn)) == [("sessions", WRONG)]
