"""What a browser's EventSource makes of a refusal: it comes back from a goaway, and a 401 ends it for ever."""

from collections.abc import AsyncIterator

import pytest

from orderstream.web import jwt
from tests.clients import chromium
from tests.clients.record import Record
from tests.clients.trade import ORDERS, USER, opened
from tests.services import ServiceProcess
from tests.system.tables import write_orders

pytestmark = pytest.mark.system


@pytest.fixture
async def service(database: str) -> AsyncIterator[ServiceProcess]:
    async with ServiceProcess(database, retry_ms=200, jwt_leeway_s=0, heartbeat_s=0.5) as running:
        await running.ready()
        yield running


async def test_an_eventsource_stays_alive_when_its_cookie_has_expired(service: ServiceProcess) -> None:
    """A goaway on a 200 leaves it CONNECTING: it will try again with whatever cookie there is then."""
    record = Record()
    async with chromium.own_page(service, record) as page:
        await chromium.log_in(page, service, service.jwt(USER, expires_s=-60))
        await chromium.follow(page, service)
        await record.has("connecting")
    # Until its page is closed it may have come back more than once.
    assert record.names[:3] == ["open", "goaway", "connecting"]


async def test_an_eventsource_resumes_when_its_cookie_was_renewed(service: ServiceProcess, database: str) -> None:
    """The stream ends with the JWT that opened it; the browser is back with the new one, and has missed nothing."""
    record = Record()
    with opened(database) as trade:
        trade.submit()
        await trade.numbered()
        async with chromium.own_page(service, record) as page:
            await chromium.log_in(page, service, service.jwt(USER, expires_s=8))
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


async def test_an_eventsource_that_comes_back_with_its_spent_ticket_is_closed(
    service: ServiceProcess, database: str
) -> None:
    """By one 401, though another user's cookie goes with it; its page goes on from the cursor with a new ticket."""
    write_orders(database, "bob", 1)
    record, asked = Record(), list[str]()
    with opened(database) as trade:
        trade.submit()
        await trade.numbered()
        async with chromium.own_page(service, record) as page:
            page.on("response", lambda answer: asked.append(f"{answer.status} {answer.url.rpartition('=')[2]}"))
            await chromium.log_in(page, service, service.jwt("bob"))
            spent = await chromium.ticket(page, service, service.jwt(USER))
            await chromium.follow(page, service, f"?ticket={spent}")
            await record.has("live")
            service.kill()
            await service.wait()
            trade.change()
            await service.start()
            await service.ready()
            await record.has("closed")
            # Else it would be live before it is told of that.
            await trade.numbered()
            last, [end] = len(record.seen), [seen for seen in record.seen if seen.name == "snapshot-end"]
            fresh = await chromium.ticket(page, service, service.jwt(USER))
            await chromium.follow(page, service, f"?cursor={end.id}&ticket={fresh}")
            # Twice the longest `retry`, in which the first would have been back.
            await record.has("heartbeat", record.names.count("heartbeat") + 2)
    # A heartbeat comes before the snapshot where that takes long.
    spent_told, fresh_told = [
        [one.name for one in seen if one.name != "heartbeat"] for seen in (record.seen[:last], record.seen[last:])
    ]
    assert spent_told[:4] == ["open", "snapshot", "snapshot-end", "live"]
    assert set(spent_told[4:]) <= {"connecting", "closed"}
    assert [answer for answer in asked if answer.endswith(spent)] == [f"200 {spent}", f"401 {spent}"]
    assert fresh_told[:3] == ["open", "order", "live"]
