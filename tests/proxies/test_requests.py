"""What a proxy tells of a request, to the service and to its log, and what it lets through."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.proxies.conftest import SETTINGS
from tests.proxies.fronts import Front, Write, in_front
from tests.services import ServiceProcess
from tests.system.clients import get
from tests.waiting import eventually

pytestmark = pytest.mark.system

REQUESTS_A_MINUTE = 5


@pytest.fixture
async def narrow(proxy: Write, database: str, tmp_path: Path) -> AsyncIterator[Front]:
    """A proxy in front of one service that takes few requests of an address."""
    async with ServiceProcess(database, **SETTINGS, requests_per_address_per_minute=REQUESTS_A_MINUTE) as service:
        await service.ready()
        async with in_front(proxy, (service, service), tmp_path) as front:
            yield front


async def statuses(front: Front, address: str, count: int, **headers: str) -> list[int]:
    """Of so many requests from that address of this machine."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(address, 0))) as session:
        return [(await get(session, front, "ann", "/v1/orders", **headers)).status for _ in range(count)]


async def test_clients_are_counted_by_their_own_address(narrow: Front) -> None:
    """One that asks too often is refused, whatever it says of where it comes from; another one is not."""
    assert await statuses(narrow, "127.0.0.2", REQUESTS_A_MINUTE) == [200] * REQUESTS_A_MINUTE
    # As many again, since those of a minute that is over count for less and less.
    *_, last = await statuses(narrow, "127.0.0.2", 2 * REQUESTS_A_MINUTE, **{"X-Forwarded-For": "203.0.113.9"})
    assert last == 429
    assert await statuses(narrow, "127.0.0.3", 1) == [200]


async def test_ticket_is_in_no_log(
    front: Front, services: tuple[ServiceProcess, ServiceProcess], session: aiohttp.ClientSession
) -> None:
    """Neither of a stream that was served, nor when a service could not be reached or none could."""
    url = f"{front.url}/v1/orders/stream?ticket=made-up-ticket"
    for end in (services[0].kill, services[1].kill, None):
        for _ in range(2):
            async with session.get(url) as response:
                await response.read()
        if end is not None:
            end()
    await eventually(lambda: front.logs().count("/v1/orders/stream") >= 6)
    assert "made-up-ticket" not in front.logs()


async def test_request_has_one_name_in_both_logs(front: Front, session: aiohttp.ClientSession) -> None:
    """The proxy's, which the answer carries; not the client's, who may give many the same."""
    answer = await get(session, front, "ann", "/v1/orders", **{"X-Request-Id": "of-the-client"})
    name = answer.headers["X-Request-Id"]
    assert name != "of-the-client"
    await eventually(lambda: name in front.logs())


async def test_what_operators_see_is_not_shown_to_clients(front: Front, session: aiohttp.ClientSession) -> None:
    """The admin port is not behind the proxy."""
    paths = ("/metrics", "/health/ready", "/health/live")
    assert [(await get(session, front, "ann", path)).status for path in paths] == [404, 404, 404]


async def test_long_header_is_for_the_service_to_refuse(front: Front, session: aiohttp.ClientSession) -> None:
    """In its own words; one that it takes is taken."""
    taken = await get(session, front, "ann", "/v1/orders", Cookie="a=" + "x" * 16_000)
    refused = await get(session, front, "ann", "/v1/orders", Cookie="a=" + "x" * 20_000)
    assert (taken.status, refused.status) == (200, 431)
    assert refused.body["type"] == "urn:orderstream:problem:header-too-large"
