"""The contract of ports.Tickets, on the adapter of the tests and on the one that is shipped."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from orderstream.core.claims import Identity
from orderstream.errors import DatabaseUnavailable
from orderstream.metrics import PrometheusMeter
from orderstream.ports import Tickets
from orderstream.postgres.pool import Pool
from orderstream.postgres.retention import Retention, RetentionSettings
from orderstream.postgres.tickets import PostgresTickets
from tests.postgres.feed import run
from tests.services import PATIENCE_S
from tests.web.memory_tickets import MemoryTickets

ANN = Identity("ann", "phone", 1_999_999_999.25)
BOB = Identity("bob", "tab", 2e9)
MOST = 3


def digest(number: int) -> bytes:
    return bytes([number]) * 32


async def kept(tickets: Tickets, identity: Identity, *numbers: int, expires_in_s: float = 30) -> None:
    for number in numbers:
        await tickets.keep(digest(number), identity, expires_in_s)


class TicketsContract:
    """Tests that every adapter must pass, by a fixture `tickets` of its own."""

    async def test_ticket_is_its_owners_whole_identity(self, tickets: Tickets) -> None:
        """User, session and the JWT's end, unrounded."""
        await kept(tickets, ANN, 1)
        await kept(tickets, BOB, 2)
        assert [await tickets.spend(digest(number)) for number in (2, 1)] == [BOB, ANN]

    async def test_ticket_is_good_once(self, tickets: Tickets) -> None:
        """Spent is spent."""
        await kept(tickets, ANN, 1)
        assert [await tickets.spend(digest(1)) for _ in range(2)] == [ANN, None]

    @pytest.mark.parametrize("expires_in_s", [0, -1])
    async def test_ticket_is_good_for_its_time(self, tickets: Tickets, expires_in_s: float) -> None:
        """No more once it is over."""
        await kept(tickets, ANN, 1, expires_in_s=expires_in_s)
        assert await tickets.spend(digest(1)) is None

    async def test_made_up_ticket_is_nobodys(self, tickets: Tickets) -> None:
        """The same answer as for a spent one."""
        assert await tickets.spend(digest(9)) is None

    async def test_oldest_tickets_go_when_a_user_has_too_many(self, tickets: Tickets) -> None:
        """A user's own, and nobody else's."""
        await kept(tickets, BOB, 9)
        await kept(tickets, ANN, 1, 2, 3, 4, 5)
        spent = [await tickets.spend(digest(number)) for number in (1, 2, 3, 4, 5, 9)]
        assert spent == [None, None, ANN, ANN, ANN, BOB]


class TestMemoryTickets(TicketsContract):
    """So that tests of the web tier may rely on it."""

    @pytest.fixture
    def tickets(self) -> Tickets:
        return MemoryTickets(most=MOST)


class TestPostgresTickets(TicketsContract):
    """And what only a database shared by many processes can break."""

    @pytest.fixture
    async def pools(self, database: str) -> AsyncIterator[list[Pool]]:
        pools = [Pool(database, size=4, timeout_s=PATIENCE_S) for _ in range(2)]
        yield pools
        for pool in pools:
            await pool.close()

    @pytest.fixture
    def tickets(self, pools: list[Pool]) -> Tickets:
        return PostgresTickets(pools[0], most=MOST)

    async def test_one_of_many_who_show_a_ticket_at_once_gets_in(self, pools: list[Pool]) -> None:
        """On any process."""
        everywhere = [PostgresTickets(pool, most=MOST) for pool in pools]
        await kept(everywhere[0], ANN, 1)
        spent = await asyncio.gather(*(tickets.spend(digest(1)) for tickets in everywhere * 8))
        assert [identity for identity in spent if identity] == [ANN]

    async def test_many_issued_at_once_neither_wait_nor_deadlock(self, tickets: Tickets, database: str) -> None:
        """All are kept or dropped, and the next one trims what a rush left over."""
        await asyncio.gather(*(kept(tickets, ANN, number) for number in range(40)))
        await kept(tickets, ANN, 50)
        assert run(database, "select count(*) from orderstream.tickets") == [(MOST,)]
        assert await tickets.spend(digest(50)) == ANN

    async def test_what_is_kept_opens_no_stream(self, tickets: Tickets, database: str) -> None:
        """The hash, and only that: it must be as long as one."""
        with pytest.raises(Exception, match="tickets_digest_check"):
            await tickets.keep(b"a-ticket-in-the-clear", ANN, 30)

    async def test_retention_removes_what_is_over(self, tickets: Tickets, pools: list[Pool], database: str) -> None:
        """In batches, and nothing else."""
        await kept(tickets, ANN, 1, 2, 3, expires_in_s=-1)
        await kept(tickets, BOB, 4)
        settings = RetentionSettings(retention_batch_rows=2)
        await Retention(pools[0], settings, lambda: True, PrometheusMeter()).sweep()
        assert run(database, "select user_id from orderstream.tickets") == [("bob",)]


async def test_unreachable_database_is_no_verdict_on_a_ticket() -> None:
    """Not spent, and not refused."""
    pool = Pool("postgresql://127.0.0.1:1/orders", size=1, timeout_s=PATIENCE_S)
    with pytest.raises(DatabaseUnavailable):
        await PostgresTickets(pool, most=MOST).spend(digest(1))
    await pool.close()
