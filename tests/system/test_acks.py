"""The product's own client follows a real service, which sees how long a change took until it was there."""

from contextlib import AsyncExitStack

import aiohttp
import pytest

from orderstream.client import Event, Feed, Limits, OrderChanged, Transport
from tests.client.followed import followed
from tests.services import RunningService, running_service
from tests.system.clients import open_stream
from tests.system.tables import write_orders
from tests.waiting import PATIENCE_S, eventually

# Streams that find no room lead to polls at once.
LIMITS = Limits(told_cap_s=0.01, backoff_s=0.01, ack_every_s=600)


def acknowledged(served: RunningService, transport: str, of: str = "count") -> float:
    name = f"orderstream_written_to_acknowledged_seconds_{of}"
    return served.service.meter.registry.get_sample_value(name, {"transport": transport}) or 0.0


def changes(told: list[Event]) -> int:
    return sum(isinstance(event, OrderChanged) for event in told)


@pytest.mark.system
@pytest.mark.parametrize("transport", Transport)
async def test_change_that_reached_a_client_is_measured_by_its_acknowledgement(
    database: str, transport: Transport
) -> None:
    """From the trigger's time, once for the transport that brought it; what follows within the next seconds is not."""
    label = {Transport.SSE: "sse", Transport.LONG_POLL: "poll"}[transport]
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(running_service(database, max_streams=1))
        if transport is Transport.LONG_POLL:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            await stack.enter_async_context(open_stream(session, served, "ben"))
        feed = Feed(served.url, served.jwt("ann"), limits=LIMITS)
        told = await stack.enter_async_context(followed(feed))
        await eventually(lambda: feed.connection.transport is transport and feed.cursor is not None)
        for count in range(1, 4):
            write_orders(database, "ann", 1)
            await eventually(lambda count=count: changes(told) == count)
        await eventually(lambda: acknowledged(served, label))
        assert acknowledged(served, label) == 1
        assert 0 < acknowledged(served, label, "sum") < PATIENCE_S
