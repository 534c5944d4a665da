"""More of everything than services take: streams, polls, new streams a second, events, and clients that do not read."""

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from tests.faults.catalogue import fault
from tests.faults.of_load import MANY
from tests.faults.of_networks import never_reading
from tests.faults.stage import PATIENCE_S, Stage
from tests.services import Address, ServiceProcess
from tests.system.tables import epoch_of

MAX_STREAMS, MAX_POLLS, POLLS_PER_USER, STREAMS_PER_S = 40, 30, 5, 20.0
# What is numbered in a step; much less than is written at once, of which a service's count is enough of a backlog.
BATCH_EVENTS, BULK_ROWS, BACKLOG_ROWS = 10, 1000, 300
# Whoever finds no room is told to come back within 30 s, give or take half; and stays away for as long.
_AWAY_S = 45.0
_LONGEST_AFTER_MS = 90_000
_POLL_S = 3


class Crowd:
    """Strangers who come to a service at twice its limits. `met` counts what became of them."""

    def __init__(self, stage: Stage) -> None:
        self.met: Counter[str] = Counter()
        self._stage = stage
        self._numbers = itertools.count()

    @asynccontextmanager
    async def seated(self, service: ServiceProcess) -> AsyncIterator[None]:
        """Streams until it is full, and as many again; who was let in stays meanwhile, or that is complained of."""
        async with AsyncExitStack() as stack:
            for _ in range(2 * MAX_STREAMS):
                await self._stream(service, stack)
            # Those that were refused because they were too fast.
            while self.met[f"full {service.port}"] == 0:
                await asyncio.sleep(1 / STREAMS_PER_S)
                await self._stream(service, stack)
            yield

    async def poll(self, service: ServiceProcess) -> None:
        """Twice as many polls as may wait, of one user and of many."""
        cursor = f"{epoch_of(self._stage.database)}.0"
        crowd = [next(self._numbers) for _ in range(2 * MAX_POLLS)]
        users = ["crowd"] * 2 * POLLS_PER_USER + [f"crowd-{number}" for number in crowd]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*[self._poll(session, service, user, cursor) for user in users])

    async def _poll(self, session: aiohttp.ClientSession, service: ServiceProcess, user: str, cursor: str) -> None:
        headers = service.bearer(user) | {"Prefer": f"wait={_POLL_S}", "If-None-Match": f'W/"{cursor}"'}
        async with session.get(f"{service.url}/v1/orders/poll", headers=headers) as response:
            self.met[f"poll {response.status}"] += 1
            refused = response.status in (429, 503)
            if (refused and not response.headers.get("Retry-After", "").isdigit()) or (
                not refused and response.status not in (200, 304)
            ):
                self._stage.complain(f"a poll too many was answered {response.status} {response.headers}")

    async def _stream(self, service: ServiceProcess, stack: AsyncExitStack) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        stack.callback(writer.close)
        jwt = Address.jwt(f"crowd-{next(self._numbers)}")
        writer.write(f"GET /v1/orders/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {jwt}\r\n\r\n".encode())
        said = b""
        while b"event: live" not in said and (chunk := await reader.read(65_536)):
            said += chunk
        if b"event: live" not in said:
            self._judge(service, said)
            return
        self.met["let in"] += 1
        staying = asyncio.create_task(self._stay(reader))
        stack.push_async_callback(self._leave, staying)

    def _judge(self, service: ServiceProcess, said: bytes) -> None:
        """One that was turned away: in the words that the protocol has for it, or that is complained of."""
        self.met["turned away"] += 1
        try:
            told = json.loads(said.partition(b"event: goaway\ndata: ")[2].partition(b"\n")[0])
            assert said.startswith(b"HTTP/1.1 200"), "not 200"
            assert (told["reason"], told["reconnect"]) == ("overload", True), "another word"
            assert b"retry: " in said, "no retry"
            assert 0 < told["after_ms"] <= _LONGEST_AFTER_MS, "a time that is none"
        except (ValueError, KeyError, AssertionError) as error:
            self._stage.complain(f"a stream too many was told {said[-200:]!r}: {error}")
            return
        # The rate lets more in every second; a seat has to become free.
        if told["after_ms"] > 1000 * 2 * MAX_STREAMS / STREAMS_PER_S:
            self.met[f"full {service.port}"] += 1

    async def _stay(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65_536):
            pass
        self._stage.complain("a stream that was let in was ended when more came")

    async def _leave(self, staying: "asyncio.Task[None]") -> None:
        staying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await staying


@fault(
    *(1, 2),
    alone=True,
    live_s=_AWAY_S + 15,
    max_streams=MAX_STREAMS,
    max_polls=MAX_POLLS,
    max_polls_per_user=POLLS_PER_USER,
    new_streams_per_s=STREAMS_PER_S,
    batch_max_events=BATCH_EVENTS,
)
async def overload(stage: Stage) -> AsyncIterator[None]:
    """Twice as many streams and polls as there may be, faster than they may come, more changes than are numbered, and
    clients that do not read; those that were let in stay."""
    crowd = Crowd(stage)
    async with AsyncExitStack() as stack:
        stack.enter_context(never_reading(stage, 8))
        await asyncio.gather(
            _outpace(stage),
            *[stack.enter_async_context(crowd.seated(service)) for service in stage.services],
            *[crowd.poll(service) for service in stage.services],
        )
        yield
    for what in ("let in", "turned away", "poll 429", "poll 503"):
        if not crowd.met[what]:
            stage.complain(f"no overload: nobody was met with {what}: {crowd.met}")


async def _outpace(stage: Stage) -> None:
    """Writers write as fast as they can, and one of them a thousand at a time, until a service says that many wait."""
    pause_s, stage.gate.pause_s = stage.gate.pause_s, 0.0
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await _backlog(stage):
                await asyncio.to_thread(stage.execute, MANY, "crowd", BULK_ROWS)
    finally:
        stage.gate.pause_s = pause_s


async def _backlog(stage: Stage) -> bool:
    """Whether many changes wait for their number, by a service's own count."""
    name = "orderstream_outbox_waiting_rows "
    async with aiohttp.ClientSession() as session, session.get(f"{stage.services[0].admin_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return any(float(line.removeprefix(name)) >= BACKLOG_ROWS for line in lines if line.startswith(name))
