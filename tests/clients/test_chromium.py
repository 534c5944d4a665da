"""What a browser's EventSource makes of a refusal: it comes back from a goaway, and a 401 ends it for ever."""

from collections.abc import AsyncIterator

import pytest

from orderstream.web import jwt
from tests.clients import chromium
from tests.clients.record import Record
from tests.clients.trade import ORDERS, USER, opened
from tests.services import ServiceProcess

pytestmark = pytest.mark.system


@pytest.fixture
async def service(database: str) -> AsyncIterator[ServiceProcess]:
    async with ServiceProcess(database, retry_ms=200, jwt_leeway_s=0) as running:
        await running.ready()
        yield running


async def test_an_eventsource_stays_alive_when_its_cookie_has_expired(service: ServiceProcess) -> None:
    """A goaway on a 200 leaves it CONNECTING: it will try again with whatever cookie there is then."""
    record = Record()
    async with chromium.own_page(service, record) as page:
        await chromium.log_in(page, service, service.jwt(USER, expires_s=-60))
        await chromium.follow(page, service)
        await record.has("connecting")
    assert record.names == ["open", "goaway", "connecting"]


async def test_an_eventsource_resumes_when_its_cookie_was_renewed(service: ServiceProcess, database: str) -> None:
    """The stream ends with the JWT that opened it; the browser is back with the new one, and has missed nothing."""
    record = Record()
    with opened(database) as trade:
        trade.submit()
        async with chromium.own_page(service, record) as page:
            await chromium.log_in(page, service, service.jwt(USER, expires_s=3))
            await chromium.follow(page, service)
            await record.has("live")
            await chromium.log_in(page, service, service.jwt(USER))
            await record.has("goaway")
            trade.change()
            await record.has("live", 2)
            await record.has_seq(ORDERS + 1)
    assert record.names.count("snapshot-end") == 1


async def test_an_eventsource_gives_up_when_its_cookie_is_forged(service: ServiceProcess) -> None:
    """What can never succeed is 401, which an EventSource takes for final."""
    record = Record()
    async with chromium.own_page(service, record) as page:
        await chromium.log_in(page, service, jwt.issue("another-secret-of-32-bytes-or-more", USER, 3600))
        await chromium.follow(page, service)
        await record.has("closed")
    assert record.names == ["closed"]


async def test_an_eventsource_gives_up_when_its_origin_is_not_allowed(service: ServiceProcess) -> None:
    """The page of an origin that cors_origins does not name reads nothing, although it has the cookie."""
    record = Record()
    async with chromium.other_page(record) as page:
        await chromium.log_in(page, service, service.jwt(USER))
        await chromium.follow(page, service)
        await record.has("closed")
    assert record.names == ["closed"]
