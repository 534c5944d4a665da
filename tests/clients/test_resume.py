"""Clients that others wrote follow a real service through a kill and through a drain, while orders keep changing."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.clients import chromium, programs
from tests.clients.record import Record
from tests.clients.trade import ORDERS, USER, Trade, opened, trading
from tests.services import Address, ServiceProcess

pytestmark = pytest.mark.system

Client = Callable[[Address, str, Record], AbstractAsyncContextManager[None]]

CLIENTS = {
    "chromium-same-origin": chromium.same_origin,
    "chromium-allowed-origin": chromium.allowed_origin,
    "curl": programs.curl,
    "npm-eventsource": programs.eventsource,
    "pypi-httpx-sse": programs.httpx_sse,
}


@pytest.fixture
async def service(database: str) -> AsyncIterator[ServiceProcess]:
    """A service that calls its clients back soon."""
    async with ServiceProcess(database, retry_ms=200, cors_origins=chromium.OTHER_ORIGIN) as running:
        await running.ready()
        yield running


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_every_event_is_seen_once_when_the_service_is_killed_and_later_drained(
    client: Client, service: ServiceProcess, database: str
) -> None:
    """The client comes back by itself with its cursor: every change once, in order, and one snapshot, the first."""
    record = Record()
    with opened(database) as trade:
        trade.submit()
        await trade.numbered()
        async with client(service, USER, record):
            await record.has("live")
            async with trading(trade):
                await _restarted(service, ServiceProcess.kill, trade, record)
                await _restarted(service, ServiceProcess.stop, trade, record)
            await record.has_seq(trade.written)
            # What was replayed may be all: `live` comes after it.
            await record.has("live", 3)
        assert record.seqs == list(range(ORDERS + 1, trade.written + 1))
    names = [name for name in record.names if name in ("snapshot", "snapshot-end", "live", "reset")]
    # A client that is busy may come back more often, and is live again each time.
    assert names[:2] == ["snapshot", "snapshot-end"]
    assert set(names[2:]) == {"live"}


async def _restarted(
    service: ServiceProcess, end: Callable[[ServiceProcess], None], trade: Trade, record: Record
) -> None:
    """Ends the service amid changes, starts it again, and returns once the client has what it missed."""
    await record.has_seq(trade.written + 5)
    end(service)
    await service.wait()
    missed = trade.written + 1
    trade.change(20)
    await service.start()
    await service.ready()
    await record.has_seq(missed + 20)
