"""All that a fault can befall: a Postgres, services, a proxy before them, the networks between, writers, clients.

writers ──► Postgres ◄── network ◄── service 1 ◄──┐
                ▲                                 ├── nginx or HAProxy ◄── network "home" or "office" ◄── clients
                └─────── network ◄── service 2 ◄──┘
"""

import asyncio
import random
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import psycopg2

from orderstream.client import Limits
from tests.faults.audit import committed
from tests.faults.clients import FeedClient, Following, Habits, RawClient, running
from tests.faults.history import Committed
from tests.faults.network import Network, network
from tests.faults.writers import BEACON, USERS, Gate, Writer, prepare
from tests.postgres.servers import TestServer
from tests.proxies.fronts import PROXIES, Front, in_front
from tests.services import ServiceProcess
from tests.system.tables import epoch_of, execute
from tests.waiting import eventually

WRITERS = 4
# What the chance of the clients' networks begins with, beside those of the services: 0, 1 and so on.
_HOME, _OFFICE = 100, 101
PAUSE_S = 0.06
HEARTBEAT_S = 1.0
SILENCE_S = 2.5 * HEARTBEAT_S
# How long all may take to be live again, or a part of the stage to come up, before that is a failure itself. Twice in a
# run, and still within what a test may take: so that it says who was late.
PATIENCE_S = 60.0
# Who is told nothing for so long is told nothing more.
_STILL_S = 5.0

# Times short enough to wait for: what a fault's recovery is measured against.
SETTINGS: Mapping[str, Any] = {
    "heartbeat_s": HEARTBEAT_S,
    "retry_ms": 200,
    "safety_net_s": 1.0,
    "query_timeout_s": 3.0,
    "idle_session_timeout_s": 2.0,
    "send_timeout_s": 5.0,
    "vitals_every_s": 1.0,
    "jwt_leeway_s": 0.0,
    "auth_expiring_s": 1.0,
    "startup_timeout_s": 30.0,
    "snapshot_max_orders": 500_000,
    "requests_per_user_per_minute": 1_000_000,
    "requests_per_address_per_minute": 1_000_000,
}
LIMITS = Limits(
    silence_s=SILENCE_S,
    first_byte_s=3.0,
    behind_s=1.0,
    backoff_s=0.2,
    backoff_cap_s=1.0,
    probe_s=1.0,
    probe_cap_s=4.0,
    poll_wait_s=2.0,
    poll_interval_s=1.0,
    ack_every_s=1.0,
    jwt_margin_s=1.0,
)


class Stage:
    """One run's; `postgres` may become another one."""

    def __init__(self, seed: int, postgres: TestServer, *, doorbell: bool = True) -> None:
        self.seed = seed
        self.random = random.Random(f"{seed} stage")
        self.postgres = postgres
        self.name = postgres.create_database(doorbell=doorbell)
        # A copy of a template takes its sequences' prefetched values along, unlogged: a crash before the next
        # checkpoint would give them out again.
        postgres.execute("checkpoint")
        self.networks: list[Network] = []
        self.services: list[ServiceProcess] = []
        self.clients: list[RawClient | FeedClient] = []
        self.writers: list[Writer] = []
        self._writing: asyncio.Future[list[None]]
        self.gate = Gate(float("inf"), PAUSE_S)
        self.lost: set[str] = set()
        self.token = ""  # of the change that all clients are to be told of
        self._complaints: list[tuple[str, str]] = []
        self.notices: Counter[str] = Counter()  # what the services logged as warnings: that something befell them
        self.home: Network
        self.office: Network
        self._following: Following
        self._proxy = self.random.choice(list(PROXIES.values()))
        self._front = AsyncExitStack()
        self.closing = ExitStack()  # of what a fault leaves behind for the rest of the run
        self._folder = tempfile.TemporaryDirectory(prefix="orderstream-faults-", dir="/tmp")

    @property
    def database(self) -> str:
        """The dsn of whoever writes orders."""
        return self.postgres.dsn(self.name)

    @property
    def raw(self) -> list[RawClient]:
        return [client for client in self.clients if isinstance(client, RawClient)]

    def execute(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """One statement, committed. Raises psycopg2.Error, also where another fault has the database."""
        return execute(self.database, sql, *arguments)

    async def leader(self) -> int | None:
        """Which service numbers, by the lock and the connection that holds it; None while nobody does."""
        rows = self.execute(
            "select client_port from pg_stat_activity join pg_locks using (pid) where locktype = 'advisory'"
            " and classid = 1869768306 and objid = 0 and granted and datname = current_database()"
        )
        ports = [port for (port,) in rows]
        return next((n for n, between in enumerate(self.networks) if any(map(between.carries, ports))), None)

    async def elected(self, other_than: int | None = None) -> int:
        """The leader, once there is one, other than that."""

        async def look() -> tuple[int] | None:
            found = await self.leader()
            return None if found is None or found == other_than else (found,)

        (number,) = await eventually(look, within_s=PATIENCE_S)
        return number

    def follow(self, user: str, transport: str, at: Network) -> None:
        """One more client, from the start; somebody has to make its user a beacon."""
        habits = Habits((transport,), restless=False, silence_s=SILENCE_S)
        url = f"http://127.0.0.1:{at.port}"
        client = RawClient(
            f"{user}-{transport}-{at.port}", user, self.seed, [url], f"{epoch_of(self.database)}.0", habits
        )
        self.clients.append(client)
        self._following.add(client)

    async def start_again(self, service: ServiceProcess) -> None:
        """One that has ended or was told to."""
        await service.wait()
        self._keep_log(service)
        await service.start()
        await service.ready()

    async def open_front(self) -> None:
        """The proxy, on a port that the clients' networks then carry to."""
        folder = Path(await self._front.enter_async_context(_folder(self._folder.name)))
        front: Front = await self._front.enter_async_context(in_front(self._proxy, self.services, folder))
        self.home.to_port = self.office.to_port = front.port

    async def close_front(self) -> None:
        await self._front.aclose()

    async def all_live(self, within_s: float = PATIENCE_S) -> float:
        """The seconds until every client was told of a change written now. Raises TimeoutError."""
        self.token, began = str(uuid.UUID(int=self.random.getrandbits(128))), asyncio.get_running_loop().time()

        async def told() -> None:
            while not await asyncio.to_thread(self._beacon, self.token):
                await asyncio.sleep(0.05)
            while any(client.beacon != self.token for client in self.clients):
                await asyncio.sleep(0.01)

        await self._following.until(lambda: asyncio.ensure_future(told()), within_s)
        return asyncio.get_running_loop().time() - began

    def late(self) -> str:
        """Who was not told yet, and how far they came."""
        late = [client for client in self.clients if client.beacon != self.token]
        return " ".join(f"{one.received.client} (at {one.cursor}, {one.connections} connections)" for one in late)

    async def settled(self, truth: Committed) -> None:
        """Returns when nothing more can come; also where something is missing, when for a while nobody came further."""

        def even() -> bool:
            if len(truth.epochs) == 1:
                return all(
                    one.cursor == f"{truth.epochs[0]}.{len(truth.commits[one.received.user])}" for one in self.raw
                )
            return all(len({one.cursor for one in self.raw if one.received.user == user}) == 1 for user in USERS)

        known: list[str | None] = []
        while known != (known := [one.cursor for one in self.raw]):
            # Where that fails for good, the checker says what is missing.
            with suppress(AssertionError):
                await eventually(even, within_s=_STILL_S)
                return

    async def written(self) -> None:
        """Nobody writes any more, from now on; what was begun has been committed, or never will be."""
        self.gate.shut()
        await self._writing

    async def truth(self, resets: frozenset[str]) -> Committed:
        return await asyncio.to_thread(committed, self.database, resets, frozenset(self.lost))

    def complain(self, line: str) -> None:
        """Of what a fault itself has seen, and must not be."""
        self._complaints.append(("", line))

    def complaints(self, lawful: frozenset[str]) -> list[str]:
        """What the services logged as errors, or said outside of their log."""
        for service in self.services:
            if service.status is not None:
                self._complaints.append(("", f"a service ended by itself with {service.status}"))
            self._keep_log(service)
            service.lines, service.said = [], []
        return [line for event, line in self._complaints if event not in lawful]

    def _keep_log(self, service: ServiceProcess) -> None:
        self._complaints += [
            (line["event"], f"{line['event']}: {line}") for line in service.lines if line.get("level") == "error"
        ]
        self._complaints += [("", line) for line in service.said]
        self.notices.update(line["event"] for line in service.lines if line.get("level") == "warning")

    def _beacon(self, token: str) -> bool:
        try:
            with closing(psycopg2.connect(self.database, connect_timeout=3)) as session, session.cursor() as cursor:
                cursor.execute("set statement_timeout = '20s'")
                cursor.execute("update orders set reason = %s where client_order_id = %s", [token, BEACON])
                session.commit()
                return cursor.rowcount >= len(USERS)
        except psycopg2.Error:
            return False

    async def _raise(
        self, stack: AsyncExitStack, services: int, habits: Habits, environment: Mapping[str, str], **settings: Any
    ) -> None:
        stack.callback(self._folder.cleanup)
        for number in range(services):
            between = await stack.enter_async_context(network(self.postgres.tcp_port or 0, self.seed + number))
            self.networks.append(between)
            dsn = f"postgresql://postgres@127.0.0.1:{between.port}/{self.name}"
            service = ServiceProcess(dsn, environment, **{**SETTINGS, **settings})
            self.services.append(await stack.enter_async_context(service))
        await asyncio.gather(*[service.ready() for service in self.services])
        self.home = await stack.enter_async_context(network(0, self.seed + _HOME))
        self.office = await stack.enter_async_context(network(0, self.seed + _OFFICE))
        stack.push_async_callback(self.close_front)
        await self.open_front()
        shared = prepare(self.database, self.seed)
        self.clients += self._clients(epoch_of(self.database), habits)
        self._following = await stack.enter_async_context(running(self.clients))
        self.writers += [Writer(lambda: self.database, self.seed, number, shared) for number in range(WRITERS)]

    def _clients(self, epoch: str, habits: Habits) -> Sequence[RawClient | FeedClient]:
        """Of each user, from the start: one that streams, one that polls, one that changes between both; one that comes
        without a cursor again and again; and the product's own. Some are at home, some in the office."""
        clients: list[RawClient | FeedClient] = []
        for number, user in enumerate(USERS):
            near, far = (self.home, self.office) if number % 2 else (self.office, self.home)
            for kind, at, cursor, habit in [
                ("sse", near, f"{epoch}.0", habits._replace(transports=("sse",), restless=False)),
                ("poll", far, f"{epoch}.0", habits._replace(transports=("poll",), restless=False)),
                ("both", near, f"{epoch}.0", habits),
                ("guest", far, None, habits._replace(forgetful=0.3)),
            ]:
                url = f"http://127.0.0.1:{at.port}"
                clients.append(RawClient(f"{user}-{kind}", user, self.seed, [url], cursor, habit))
            clients.append(FeedClient(f"{user}-feed", user, f"http://127.0.0.1:{near.port}", LIMITS, habits.jwt_s))
        return clients


@asynccontextmanager
async def staged(
    seed: int,
    postgres: TestServer,
    *,
    services: int = 2,
    doorbell: bool = True,
    jwt_s: float = 36_000.0,
    environment: Mapping[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Everything up, clients following and writers at work; all of it ended with the block."""
    stage = Stage(seed, postgres, doorbell=doorbell)
    async with AsyncExitStack() as stack:
        habits = Habits(silence_s=SILENCE_S, jwt_s=jwt_s)
        await stage._raise(stack, services, habits, environment or {}, **settings)
        stage._writing = asyncio.gather(*[asyncio.to_thread(one.run, stage.gate) for one in stage.writers])
        try:
            await stage.all_live()
            yield stage
        finally:
            await stage.written()
    with stage.closing:
        stage.postgres.drop_database(stage.name)


@asynccontextmanager
async def _folder(within: str) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(dir=within) as folder:
        yield folder
