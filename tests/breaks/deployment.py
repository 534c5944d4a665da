"""What is broken: a database with its roles, two `orderstream serve` whose canaries sing, and what lies between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from tests.breaks.looks import Look, look
from tests.doctor.bouncer import pgbouncer
from tests.ports import free_port
from tests.postgres.roles import Roles, separated
from tests.postgres.servers import TestServer
from tests.services import ServiceProcess
from tests.waiting import eventually

# Enough for both processes and their pools.
_BOUNCED = 30
# As few connections as every shell allows files.
_SETTINGS = {"canary_user": "canary", "max_connections": 500, "max_streams": 200, "max_polls": 200}


class Deployment:
    """`roles` are dsns to the database itself; the services may have another way to it."""

    def __init__(self, server: TestServer, roles: Roles, bouncer: "Bouncer | None") -> None:
        self.server = server
        self.roles = roles
        self.bouncer = bouncer
        self.services: list[ServiceProcess] = []
        self.session = aiohttp.ClientSession()

    async def looks(self) -> list[Look]:
        """What each service says of itself now."""
        return list(await asyncio.gather(*[look(self.session, service) for service in self.services]))

    async def leader_and_other(self) -> tuple[ServiceProcess, ServiceProcess]:
        first, second = self.services
        looks = await self.looks()
        return (first, second) if looks[0].leading else (second, first)

    async def well(self, within_s: float = 30.0) -> tuple[list[Look], list[Look]]:
        """Waits until both are ready, one leads, and each canary hears itself over each transport; what was said at two
        times with a change of each between them."""

        async def ready() -> list[Look] | None:
            looks = await self.looks()
            good = all(one.ready for one in looks) and sum(one.leading for one in looks) == 1
            return looks if good else None

        before = await eventually(ready, within_s=within_s)

        async def heard() -> list[Look] | None:
            looks = await self.looks()
            return looks if all(now.heard_since(then) for now, then in zip(looks, before, strict=True)) else None

        return before, await eventually(heard, within_s=within_s)


class Bouncer:
    """A pgbouncer that can be started anew in another mode, on the same port."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._port = dsn, free_port()
        self._running = AsyncExitStack()

    async def start(self, mode: str) -> str:
        """The dsn through it; one that runs is ended first."""
        await self.stop()
        running = pgbouncer(self._dsn, mode=mode, connections=_BOUNCED, port=self._port)
        return await self._running.enter_async_context(running)

    async def stop(self) -> None:
        await self._running.aclose()


@asynccontextmanager
async def deployed(server: TestServer, *, bounced: bool = False, **settings: Any) -> AsyncIterator[Deployment]:
    """A deployment where all is well; `bounced`: a pgbouncer in session mode is between."""
    name = server.create_database(migrated=False)
    roles = separated(server, server.dsn(name))
    server.execute(f"alter database {name} set orderstream.doorbell = 'on'")
    bouncer = Bouncer(roles.service) if bounced else None
    made = Deployment(server, roles, bouncer)
    async with AsyncExitStack() as stack:
        stack.callback(server.drop_database, name)
        stack.push_async_callback(made.session.close)
        url = roles.service
        if bouncer is not None:
            stack.push_async_callback(bouncer.stop)
            url = await bouncer.start("session")
        made.services = [ServiceProcess(url, **_SETTINGS | settings) for _ in range(2)]
        for service in made.services:
            await stack.enter_async_context(service)
        for service in made.services:
            await service.ready()
        yield made
