"""A real Prometheus looks at a real service under load: the dashboard and the rules find what they ask for."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.prometheus.server import Prometheus, running_prometheus
from tests.prometheus.watching import Query, alerts, panel_queries, recordings, selectors
from tests.services import START_PATIENCE_S, ServiceProcess
from tests.system.clients import ENDLESS, Stream, open_stream, poll
from tests.system.tables import epoch_of, execute, write_orders
from tests.waiting import eventually

# What is empty although all is asked for rightly, and why.
EMPTY = {
    'orderstream_closes_total{reason=~"overload|unavailable"}': "nobody is turned away",
}

SETTINGS = {
    "canary_user": "canary",
    "canary_every_s": 0.2,
    "vitals_every_s": 0.5,
    "retention_every_s": 0.2,
}

_CUT_OFF = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'orderstream sequencer'"


@asynccontextmanager
async def busy(database: str) -> AsyncIterator[ServiceProcess]:
    """A service to which everything happens that is counted, again and again until the end of the block."""
    async with ServiceProcess(database, **SETTINGS) as served, aiohttp.ClientSession() as session:
        await served.ready()
        living = asyncio.create_task(_live(session, served, database))
        try:
            yield served
        finally:
            living.cancel()
            # What it failed with, if it did.
            with pytest.raises(asyncio.CancelledError):
                await living


async def _live(session: aiohttp.ClientSession, served: ServiceProcess, database: str) -> None:
    epoch, ann = epoch_of(database), served.bearer("ann")
    async with session.get(f"{served.url}/v1/orders/stream", headers=ann, timeout=ENDLESS) as response:
        stream = Stream(response)
        await stream.until("live")
        for number in itertools.count():
            write_orders(database, "ann", 1)
            write_orders(database, "ben", 1)
            change = (await stream.until("order"))[-1]
            ack = {"cursor": change.id, "transport": "sse"}
            async with session.post(f"{served.url}/v1/acks", headers=ann, json=ack) as answer:
                assert answer.status == 204
            await poll(session, served, "ben", f"{epoch}.{number}")
            # One goes on from what it has, one has what there never was.
            for cursor in (f"{epoch}.{number}", f"{epoch}.999999"):
                async with open_stream(session, served, "ben", query=cursor) as coming:
                    await coming.until("live")
            if number == 2:
                execute(database, _CUT_OFF)
            # It is measured, not driven to its limits: that would only slow down who measures.
            await asyncio.sleep(0.1)


async def until_found(prometheus: Prometheus, queries: list[Query]) -> list[Query]:
    """Those that had no number within the time; those of EMPTY are not waited for."""
    missing = queries
    try:
        async with asyncio.timeout(START_PATIENCE_S):
            while any(query.expr not in EMPTY for query in missing):
                missing = [query for query in missing if not await has_number(prometheus, query.expr)]
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass
    return missing


async def has_number(prometheus: Prometheus, expr: str) -> bool:
    """Also 0; a share of nothing is none."""
    return any(not math.isnan(value) for value in await prometheus.values(expr))


@pytest.mark.system
async def test_dashboard_and_rules_find_what_they_ask_for(database: str, tmp_path: Path) -> None:
    """Each panel and each promise a number, each alert the series that it judges; and no rule fails."""
    parts = [Query(name, part) for name, rule in alerts().items() for part in selectors(rule["expr"])]
    asked = [*panel_queries(), *recordings(), *parts]

    async def all_rules_are_well() -> bool:
        # Each group is evaluated for the first time when it comes to it.
        return await prometheus.ailing_rules() == []

    async with busy(database) as served, running_prometheus(tmp_path, served) as prometheus:
        missing = await until_found(prometheus, asked)
        await eventually(all_rules_are_well)
    assert sorted(query.expr for query in missing) == sorted(EMPTY)
