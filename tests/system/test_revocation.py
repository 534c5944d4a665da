"""A user logs one device out: it gets nothing more on any process, and the others of the user miss nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import jwt
import pytest
from psycopg2.extensions import parse_dsn

from tests.faults.network import Weather, network
from tests.postgres.servers import TestServer
from tests.services import SECRET, RunningService, ServiceProcess, running_service
from tests.system.clients import ENDLESS, Stream
from tests.system.tables import execute, write_orders
from tests.waiting import PATIENCE_S, eventually

SETTINGS = {"session_write_s": 0.05, "session_beat_s": 0.2}
# "On every process within a second"; tried again where something else had the machine meanwhile.
SOON_S = 1.0
TRIES = 5


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def services(database: str) -> AsyncIterator[list[RunningService]]:
    async with running_service(database, **SETTINGS) as one, running_service(database, **SETTINGS) as other:
        yield [one, other]


def device(session_id: str, user_id: str = "ann") -> dict[str, str]:
    """The header of a device of that login."""
    claims = {"sub": user_id, "sid": session_id, "exp": int(time.time()) + 3600}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


async def opened(client: aiohttp.ClientSession, at: Any, headers: dict[str, str]) -> Stream:
    """A stream that is live; open until its client is closed."""
    stream = Stream(await client.get(f"{at.url}/v1/orders/stream", headers=headers, timeout=ENDLESS))
    await stream.until("live")
    return stream


async def log_out(client: aiohttp.ClientSession, at: Any, session_id: str, by: dict[str, str]) -> int:
    async with client.delete(f"{at.url}/v1/sessions/{session_id}", headers=by) as answer:
        assert await answer.read() == b""
        return answer.status


async def status(client: aiohttp.ClientSession, at: Any, path: str, headers: dict[str, str]) -> int:
    async with client.get(at.url + path, headers=headers, timeout=ENDLESS) as answer:
        return answer.status


async def listed(client: aiohttp.ClientSession, at: Any, by: dict[str, str]) -> dict[str, list[str]]:
    """session id -> transports, as one process sees it."""
    async with client.get(f"{at.url}/v1/sessions", headers=by) as answer:
        found = (await answer.json())["sessions"]
        return {each["id"]: sorted(stream["transport"] for stream in each["streams"]) for each in found}


async def until_listed(
    client: aiohttp.ClientSession, at: Any, by: dict[str, str], wanted: dict[str, list[str]]
) -> None:
    async def is_listed() -> bool:
        return await listed(client, at, by) == wanted

    await eventually(is_listed)


async def test_revoked_device_gets_nothing_more_and_the_other_everything(
    client: aiohttp.ClientSession, services: list[RunningService], database: str
) -> None:
    """Two processes, a device on each: told within a second, then silent, for streams and polls, and 204 for good."""
    here, there = services
    kept = await opened(client, here, device("laptop"))
    for phone in map("phone-{}".format, range(TRIES)):
        lost = await opened(client, there, device(phone))
        before = time.monotonic()
        assert await log_out(client, here, phone, by=device("laptop")) == 204
        told = await lost.rest()
        if (took_s := time.monotonic() - before) < SOON_S:
            break
    assert took_s < SOON_S
    write_orders(database, "ann", 20)
    assert [(frame.event, frame.data) for frame in told][-1] == (
        "goaway",
        {"reason": "session-revoked", "reconnect": False, "after_ms": 0},
    )
    assert [frame.event for frame in told] == ["retry", "goaway"]
    for _ in range(20):
        await kept.until("order")
    for service in services:
        assert await status(client, service, "/v1/orders/stream", device(phone)) == 204
        assert await status(client, service, "/v1/orders", device(phone)) == 401
        assert await status(client, service, "/v1/orders", device("laptop")) == 200


async def test_held_poll_of_a_revoked_device_is_refused_at_once(
    client: aiohttp.ClientSession, services: list[RunningService]
) -> None:
    """It does not wait out its time, and learns nothing."""
    here, there = services
    async with client.get(f"{there.url}/v1/orders/poll", headers=device("phone")) as answer:
        tag = answer.headers["ETag"]
    headers = device("phone") | {"If-None-Match": tag, "Prefer": "wait=50"}
    held = asyncio.create_task(status(client, there, "/v1/orders/poll", headers))
    await until_listed(client, here, device("laptop"), {"phone": ["poll"]})
    await log_out(client, here, "phone", by=device("laptop"))
    async with asyncio.timeout(PATIENCE_S):
        assert await held == 401
    assert await listed(client, there, device("laptop")) == {}


async def test_list_shows_devices_of_all_processes_and_of_no_other_user(
    client: aiohttp.ClientSession, services: list[RunningService]
) -> None:
    """Either process lists both; who left is gone from it."""
    here, there = services
    await opened(client, here, device("laptop"))
    phone = await opened(client, there, device("phone"))
    await opened(client, there, device("phone", user_id="ben"))
    for service in services:
        await until_listed(client, service, device("laptop"), {"laptop": ["sse"], "phone": ["sse"]})
    phone.response.close()
    await until_listed(client, here, device("laptop"), {"laptop": ["sse"]})


async def test_same_session_id_of_another_user_is_left_alone(
    client: aiohttp.ClientSession, services: list[RunningService], database: str
) -> None:
    """A session is a user's; ending one that is not there, or twice, is answered the same."""
    here, there = services
    hers = await opened(client, here, device("phone"))
    for service in services:
        assert await log_out(client, service, "phone", by=device("laptop", user_id="ben")) == 204
    write_orders(database, "ann", 1)
    await hers.until("order")
    assert await status(client, there, "/v1/orders", device("phone")) == 200


async def test_revocation_is_learned_after_the_listener_was_cut(
    client: aiohttp.ClientSession, services: list[RunningService], database: str
) -> None:
    """What was revoked while a process heard nothing is read when it listens again."""
    there = services[1]
    await opened(client, there, device("phone"))
    execute(
        database,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'orderstream revocations' and datname = current_database()",
    )
    await eventually(lambda: not there.service.revocations.connected.is_set())
    # Written, and told to nobody.
    execute(
        database,
        "insert into orderstream.revocations (user_id, session_id, kept_until)"
        " values ('ann', 'phone', now() + interval '1 day')",
    )

    async def refused() -> bool:
        return await status(client, there, "/v1/orders", device("phone")) == 401

    await eventually(refused)


@pytest.mark.parametrize("leading", [False, True])
async def test_process_that_does_not_hear_of_revocations_shows_nothing_new(
    client: aiohttp.ClientSession, private_postgres: TestServer, leading: bool
) -> None:
    """Its LISTEN alone is lost, and a device is logged out elsewhere: nobody is shown what happens from then on,
    and readiness says why. When it hears again the device is told, and the other has missed nothing."""
    database = private_postgres.dsn(private_postgres.create_database())
    settings = SETTINGS | {"heartbeat_s": 0.2, "query_timeout_s": 3.0}
    async with network(private_postgres.tcp_port) as between, AsyncExitStack() as services:
        afar = f"postgresql://postgres@127.0.0.1:{between.port}/{parse_dsn(database)['dbname']}"
        # The first is elected.
        at = [await services.enter_async_context(running_service(dsn, **settings)) for dsn in (
            (afar, database) if leading else (database, afar)
        )]  # fmt: skip
        there, here = at if leading else at[::-1]
        await eventually(lambda: at[0].service.sequencer.leading)
        kept, lost = await opened(client, there, device("laptop")), await opened(client, there, device("phone"))
        elsewhere = await opened(client, here, device("tab"))
        with between.weather(Weather(refused=True), "orderstream revocations"):
            await eventually(lambda: there.service.checks()["revocations"] is not None)
            assert await log_out(client, here, "phone", by=device("tab")) == 204
            write_orders(database, "ann", 3)
            for _ in range(3):
                await elsewhere.until("order")
            assert await status(client, there, "/v1/orders", device("phone")) == 503
        for _ in range(3):
            await kept.until("order")
        told = await lost.rest()
        assert {frame.event for frame in told} - {"heartbeat"} == {"retry", "goaway"}
        assert told[-1].data["reason"] == "session-revoked"


async def test_revocation_survives_a_restart(client: aiohttp.ClientSession, database: str) -> None:
    """Known again before the first request is answered, even where the process was killed."""
    async with ServiceProcess(database, **SETTINGS) as service:
        await service.ready()
        assert await log_out(client, service, "phone", by=device("laptop")) == 204
        service.kill()
        await service.wait()
        await service.start()
        await service.ready()
        assert await status(client, service, "/v1/orders", device("phone")) == 401
        assert await status(client, service, "/v1/orders", device("laptop")) == 200
