"""How old a change is when its byte is at a client on the same machine, and how much an idle service asks Postgres.

Starts an embedded Postgres and `orderstream serve` of its own. Ages are on one clock, so they are exact; they run from
the trigger's `written_at`, which is just before the commit: the order's own flush to disk is in them.
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import psycopg2

from orderstream.demo.embedded import EmbeddedPostgres
from orderstream.postgres import migrations
from orderstream.web import jwt

_SECRET = "only-for-measuring-0123456789abcdef"
_INSERT = (
    "insert into orders (user_id, symbol, asset_class, side, order_type, platform, quantity)"
    " values ('ann', 'ACME', 'stock', 'buy', 'market', 'web', 1000000) returning id"
)
_UPDATE = "update orders set filled_quantity = filled_quantity + 1, status = 'partially_filled' where id = %s"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def _served(database_url: str) -> AsyncIterator[str]:
    port = _free_port()
    chosen = {
        "DATABASE_URL": database_url,
        "JWT_SECRET": _SECRET,
        "LISTEN": f"127.0.0.1:{port}",
        "ADMIN_LISTEN": f"127.0.0.1:{_free_port()}",
        "LOG_LEVEL": "warning",
        "DRAIN_SPREAD_S": "0",
    }
    environment = os.environ | {f"ORDERSTREAM_{key}": value for key, value in chosen.items()}
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "orderstream.cli", "serve", env=environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.send_signal(signal.SIGTERM)
        await child.wait()


@asynccontextmanager
async def _stream(session: aiohttp.ClientSession, url: str) -> AsyncIterator[aiohttp.StreamReader]:
    headers = {"Authorization": f"Bearer {jwt.issue(_SECRET, 'ann', 3600)}"}
    while True:
        try:
            response = await session.get(f"{url}/v1/orders/stream", headers=headers)
            break
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.1)
    async with response:
        yield response.content


async def _next_order(content: aiohttp.StreamReader) -> tuple[float, float]:
    """When the next `order` arrived and when it was written; the clock is read before anything is parsed."""
    while True:
        block = await content.readuntil(b"\n\n")
        now = time.time()
        if b"event: order\n" in block:
            event = msgspec.json.decode(block.split(b"data: ", 1)[1])
            return now, datetime.fromisoformat(event["written_at"]).timestamp()


async def _ages_s(
    session: Any, order_id: str, url: str, samples: int, pause_s: float
) -> tuple[list[float], list[float]]:
    """Until the client had it, and until the order service had its answer."""
    ages: list[float] = []
    commits: list[float] = []

    def update() -> float:
        cursor.execute(_UPDATE, [order_id])
        return time.time()

    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as http, _stream(http, url) as content:
        await content.readuntil(b"event: live\n")
        with session.cursor() as cursor:
            for _ in range(samples):
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
                reading = asyncio.ensure_future(_next_order(content))
                answered = await asyncio.to_thread(update)
                arrived, written = await reading
                ages.append(arrived - written)
                commits.append(answered - written)
    return ages, commits


async def _queries_a_second(postgres: EmbeddedPostgres, seconds: float) -> float:
    """Statements in the server's log, which is told to keep them all: what counts them must not be counted."""
    lines = _statements(postgres)
    await asyncio.sleep(seconds)
    return (_statements(postgres) - lines) / seconds


def _statements(postgres: EmbeddedPostgres) -> int:
    lines = postgres.log_path.read_text(errors="replace").splitlines()
    return sum(line.startswith("orderstream") and " statement: " in line for line in lines)


def _holds_doorbell(cursor: Any) -> bool:
    cursor.execute("select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
    return bool(cursor.rowcount)


def _say_ages(what: str, ages_s: list[float]) -> None:
    ages_s.sort()
    at = {name: ages_s[min(len(ages_s) - 1, int(share * len(ages_s)))] for name, share in _SHARES.items()}
    print(f"{len(ages_s)} updates, {what}: " + ", ".join(f"{name} {age_s * 1000:.2f} ms" for name, age_s in at.items()))


_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


async def _measure(postgres: EmbeddedPostgres, samples: int, pause_s: float, seconds: float) -> None:
    url = postgres.dsn()
    with closing(psycopg2.connect(url)) as session, closing(psycopg2.connect(url)) as open_session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(_INSERT)
            ((order_id,),) = cursor.fetchall()
        async with _served(url) as service:
            ages, commits = await _ages_s(session, order_id, service, samples, pause_s)
            _say_ages("written to the client's byte", ages)
            _say_ages("written to the writer's answer", commits)
            with session.cursor() as cursor:
                cursor.execute("alter system set log_statement = 'all'")
                cursor.execute("select pg_reload_conf()")
            await asyncio.sleep(1.0)
            print(f"idle: {await _queries_a_second(postgres, seconds):.1f} queries a second")
            with open_session.cursor() as cursor:
                # Only one that found nobody asleep keeps the sequencer from lying down.
                while not _holds_doorbell(cursor):
                    with session.cursor() as other:
                        other.execute(_UPDATE, [order_id])
                    cursor.execute(_INSERT)
                open_s = await _queries_a_second(postgres, seconds)
                print(f"an order transaction left open: {open_s:.1f} queries a second")


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500, help="updates, one at a time")
    parser.add_argument("--pause-s", type=float, default=0.05, help="between two of them, give or take half")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long queries are counted, twice")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        postgres = EmbeddedPostgres(Path(folder), settings={"log_line_prefix": "%a "})
        postgres.start()
        try:
            migrations.apply(postgres.dsn())
            asyncio.run(_measure(postgres, chosen.samples, chosen.pause_s, chosen.seconds))
        finally:
            postgres.close()


if __name__ == "__main__":
    main()
