"""Services that end and come again behind a proxy: clients come back through it, miss nothing, and get no error of its.

The client is a browser's EventSource, the strictest there is: at any status but 200 it gives up for ever.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.clients import chromium
from tests.clients.record import Record
from tests.clients.trade import ORDERS, USER, opened, trading
from tests.postgres.servers import TestServer
from tests.proxies.conftest import SETTINGS
from tests.proxies.fronts import ORIGIN, Front, haproxy, in_front
from tests.services import ServiceProcess
from tests.system.clients import get, open_stream, poll
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.system

Services = tuple[ServiceProcess, ServiceProcess]


class Poller:
    """Polls again and again, and makes a ticket each time: `seqs` of the events, and every status there was."""

    def __init__(self, front: Front, session: aiohttp.ClientSession) -> None:
        self._front, self._session = front, session
        self.seqs: list[int] = []
        self.statuses: set[int] = set()

    async def run(self) -> None:
        cursor = None
        while True:
            answer = await poll(self._session, self._front, USER, cursor, wait_s=1)
            self.statuses.add(answer.status)
            cursor = answer.cursor
            if answer.status == 200:
                self.seqs += [int(event["id"].partition(".")[2]) for event in answer.body.get("events", [])]
            self.statuses.add(await self._ticket())

    async def _ticket(self) -> int:
        """The status. Asked for again where the connection ended instead of an answer, as browsers do it: so HAProxy
        tells whoever has used it before that nothing was done, and that it is for them to try again
        (haproxy/haproxy#1423, RFC 9112 9.3.1)."""
        url, headers = self._front.url + "/v1/tickets", self._front.bearer(USER)
        with contextlib.suppress(aiohttp.ServerDisconnectedError):
            async with self._session.post(url, headers=headers) as ticket:
                return ticket.status
        async with self._session.post(url, headers=headers) as ticket:
            return ticket.status


@asynccontextmanager
async def polling(front: Front, session: aiohttp.ClientSession) -> AsyncIterator[Poller]:
    """A poller at work, which must not fail."""
    poller = Poller(front, session)
    running = asyncio.create_task(poller.run())
    try:
        yield poller
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def start_again(service: ServiceProcess) -> None:
    """Once it ended."""
    await service.wait()
    await service.start()
    await service.ready()


async def test_nobody_notices_when_the_services_are_restarted_in_turn(
    database: str, services: Services, front: Front, session: aiohttp.ClientSession
) -> None:
    """One is killed, the other drained, while orders change: the EventSource and the poller get every event once, in
    order, and no other status than 200, 201 and 304."""
    record = Record()
    with opened(database) as trade:
        trade.submit()
        await trade.numbered()
        async with chromium.same_origin(front, USER, record), polling(front, session) as poller:
            await record.has("live")
            async with trading(trade):
                for service, end in zip(services, (ServiceProcess.kill, ServiceProcess.stop), strict=True):
                    await record.has_seq(trade.written + 10)
                    end(service)
                    await record.has_seq(trade.written + 10)
                    await start_again(service)
            await record.has_seq(trade.written)
    assert record.seqs == list(range(ORDERS + 1, trade.written + 1))
    assert record.names.count("snapshot-end") == 1
    assert poller.seqs == list(range(poller.seqs[0], poller.seqs[-1] + 1))
    assert poller.statuses == {200, 201} | poller.statuses & {304}


async def test_eventsource_comes_back_when_there_was_no_service_at_all(
    database: str, services: Services, front: Front, session: aiohttp.ClientSession
) -> None:
    """The proxy itself says goaway in a stream, and elsewhere 503 with a time, for pages of a named origin too."""
    record = Record()
    with opened(database) as trade:
        trade.submit()
        await trade.numbered()
        async with chromium.same_origin(front, USER, record):
            await record.has("live")
            for service in services:
                service.kill()
            await record.has("goaway")
            refused = await get(session, front, USER, "/v1/orders/poll", Origin=ORIGIN)
            trade.change(5)
            await asyncio.gather(*map(start_again, services))
            await record.has_seq(trade.written)
    assert record.seqs == list(range(ORDERS + 1, trade.written + 1))
    assert (refused.status, refused.body["status"], refused.headers["Retry-After"]) == (503, 503, "3")
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_held_poll_moves_to_the_other_service_when_its_own_is_killed(
    database: str, services: Services, front: Front, session: aiohttp.ClientSession
) -> None:
    """Its client never learns of it; the answer is that of the other one."""
    cursor = (await poll(session, front, USER)).cursor
    # Enough to have one on each, and the event comes from whoever is left.
    held = [asyncio.create_task(poll(session, front, USER, cursor, wait_s=20)) for _ in range(4)]
    for service in services:
        await service_holds(session, service)
    services[0].kill()
    await services[0].wait()
    with opened(database) as trade:
        trade.submit()
    answers = await asyncio.gather(*held)
    assert {answer.status for answer in answers} == {200}
    assert {answer.body["events"][0]["id"].partition(".")[2] for answer in answers} == {"1"}


async def test_service_speaks_for_itself_when_no_service_is_ready(
    private_postgres: TestServer, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """HAProxy, which asks for health, sends requests on all the same: a lost database is not for it to explain."""
    database = private_postgres.dsn(private_postgres.create_database())
    async with ServiceProcess(database, **SETTINGS) as service:
        await service.ready()
        async with in_front(haproxy, (service, service), tmp_path) as front:
            private_postgres.stop()
            for name in ("orderstream-1", "orderstream-2"):
                await eventually(lambda name=name: f"streams/{name} is DOWN" in front.logs())
            refused = await get(session, front, USER, "/v1/orders")
            async with open_stream(session, front, USER) as stream:
                told = (await stream.rest())[-1]
    assert (refused.status, refused.body["type"]) == (503, "urn:orderstream:problem:database-unavailable")
    assert (told.event, told.data["reason"], "X-Content-Type-Options" in stream.response.headers) == (
        "goaway",
        "overload",
        True,
    )


async def service_holds(session: aiohttp.ClientSession, service: ServiceProcess) -> None:
    """Returns once a poll waits at it."""
    held = 'orderstream_streams_open{transport="poll"}'
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with session.get(f"{service.admin_url}/metrics") as response:
                lines = (await response.text()).splitlines()
            if any(line.startswith(held) and not line.endswith(" 0.0") for line in lines):
                return
