"""A real Prometheus looks at a real service under load: the dashboard and the rules find what they ask for."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.prometheus.server import Prometheus, running_prometheus
from tests.prometheus.watching import Query, alerts, panel_queries, recordings, selectors, waits
from tests.services import PATIENCE_S, ServiceProcess
from tests.system.clients import open_stream, poll
from tests.system.tables import epoch_of, execute, write_orders

# What is empty although all is asked for rightly, and why.
EMPTY = {
    'orderstream_closes_total{reason=~"overload|unavailable"}': "nobody is turned away",
}


@asynccontextmanager
async def busy(database: str) -> AsyncIterator[ServiceProcess]:
    """A service to which everything happens that is counted, again and again until the end of the block."""
    async with (
        ServiceProcess(
            database, max_streams_per_user=2, vitals_every_s=0.5, retention_every_s=0.2, retention_events_s=1
        ) as served,
        aiohttp.ClientSession() as session,
    ):
        await served.ready()
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(open_stream(session, served, "ann"))
            await stream.until("live")
            living = asyncio.create_task(_live(session, served, database))
            try:
                yield served
            finally:
                living.cancel()
                # What it failed with, if it did.
                with pytest.raises(asyncio.CancelledError):
                    await living


async def _live(session: aiohttp.ClientSession, served: ServiceProcess, database: str) -> None:
    epoch = epoch_of(database)
    for number in itertools.count():
        write_orders(database, "ann", 3)
        write_orders(database, "ben", 3)
        answer = await poll(session, served, "ben", f"{epoch}.{max(0, 6 * number - 1)}")
        assert answer.status in {200, 304}
        # Two streams are allowed, so that these push the first one out; one resumes, one knows too much.
        for cursor in (f"{epoch}.1", f"{epoch}.999999"):
            async with open_stream(session, served, "cid", query=cursor) as stream:
                await stream.until("live")
        if number == 2:
            execute(
                database,
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'orderstream%%'",
            )
        await asyncio.sleep(0.1)


async def until_found(prometheus: Prometheus, queries: list[Query]) -> list[Query]:
    """Those that had no number within the time; those of EMPTY are not waited for."""
    missing = queries
    try:
        async with asyncio.timeout(PATIENCE_S):
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
    async with busy(database) as served, running_prometheus(tmp_path, served) as prometheus:
        missing = await until_found(prometheus, [query for query in asked if not waits(query)])
        ailing = await prometheus.ailing_rules()
        for query in filter(waits, asked):
            await prometheus.values(query.expr)
    assert sorted(query.expr for query in missing) == sorted(EMPTY)
    assert ailing == []
