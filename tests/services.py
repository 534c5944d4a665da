"""Running services for tests: one inside the test's own process, or `orderstream serve` as a child of it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from orderstream.app import Service
from orderstream.settings import Settings
from orderstream.web import jwt
from tests.ports import free_port

SECRET = "a-secret-of-the-tests-of-32-bytes-or-more"

# How long a test waits for what should take a moment; a machine under load may be slow.
PATIENCE_S = 20.0
# To start a program asks for a second of CPU, and several are started at once: 20 s were too short at a load of 20.
START_PATIENCE_S = 60.0


class Address:
    """Where a service listens, and credentials that it takes."""

    def __init__(self) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"

    @staticmethod
    def jwt(user: str, expires_s: float = 3600.0) -> str:
        """A credential of `user`, in force for so long from now (negative: expired)."""
        return jwt.issue(SECRET, user, expires_s)

    @staticmethod
    def bearer(user: str, expires_s: float = 3600.0) -> dict[str, str]:
        """The header that carries it."""
        return {"Authorization": f"Bearer {Address.jwt(user, expires_s)}"}

    def settings(self, database: str) -> dict[str, Any]:
        """What every service of a test is told; times short enough to wait for."""
        return {
            "database_url": database,
            "jwt_secret": SECRET,
            "listen": f"127.0.0.1:{self.port}",
            "admin_listen": f"127.0.0.1:{self.admin_port}",
            "drain_spread_s": 0.5,
            "drain_timeout_s": 3.0,
            "election_s": 0.2,
        }


class RunningService(Address):
    """A Service in this process: `service` is open to be looked into."""

    service: Service


@asynccontextmanager
async def running_service(database: str, **settings: Any) -> AsyncIterator[RunningService]:
    """A started Service on free ports; `settings` over those of `Address.settings`. Stopped at the end."""
    running = RunningService()
    running.service = Service(Settings(**(running.settings(database) | settings)))
    try:
        await running.service.start()
        yield running
    finally:
        await running.service.stop()


class ServiceProcess(Address):
    """`orderstream serve` as a child, on ports that stay the same when it is started again.

    `lines` holds what it logged, each line's fields (event, level, timestamp …); `said` what was no log line.
    As a context manager it is started, and killed at the end.
    """

    program: tuple[str, ...] = ("-m", "orderstream.cli", "serve")

    def __init__(self, database: str, environment: Mapping[str, str] | None = None, **settings: Any) -> None:
        super().__init__()
        self.chosen = chosen = self.settings(database) | {"log_format": "json"} | settings
        self._environment = (
            {name: value for name, value in os.environ.items() if not name.startswith("ORDERSTREAM_")}
            | {f"ORDERSTREAM_{key.upper()}": str(value) for key, value in chosen.items() if value is not None}
            | dict(environment or {})
        )
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._grew = asyncio.Condition()
        self._over = False
        self.lines: list[dict[str, Any]] = []
        self.said: list[str] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child is not None and self._child.returncode is None:
            self.kill()
        await self.wait()

    async def start(self) -> None:
        """Starts the program; `ready` waits until it serves."""
        self.lines, self.said, self._over = [], [], False
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            *self.program,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """Of the child."""
        assert self._child is not None
        return self._child.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return None if self._child is None else self._child.returncode

    async def ready(self) -> None:
        """Returns once it takes connections."""
        await self.logged("serving", within_s=START_PATIENCE_S)

    async def logged(
        self, event: str, count: int = 1, *, within_s: float = PATIENCE_S, **fields: Any
    ) -> dict[str, Any]:
        """The `count`th line of that event with those fields, waited for."""
        try:
            async with asyncio.timeout(within_s), self._grew:
                await self._grew.wait_for(lambda: len(self.logs(event, **fields)) >= count or self._over)
        except TimeoutError:
            pass
        found = self.logs(event, **fields)
        assert len(found) >= count, f"{event} {fields} was not logged {count} times: {self.lines[-5:]} {self.said}"
        return found[count - 1]

    def logs(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of that event with those fields, so far."""
        wanted = {"event": event, **fields}.items()
        return [line for line in self.lines if wanted <= _flat(line).items()]

    def stop(self) -> None:
        """SIGTERM: drain, then end."""
        self._send(signal.SIGTERM)

    def interrupt(self) -> None:
        """SIGINT, as Ctrl-C sends it."""
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL; a suspended one dies too."""
        self._send(signal.SIGKILL)

    def suspend(self) -> None:
        """SIGSTOP: alive, and deaf."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    async def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """The exit status, once it has ended and all that it said was read; raises TimeoutError."""
        assert self._child is not None
        assert self._reader is not None
        async with asyncio.timeout(timeout_s):
            status = await self._child.wait()
            await self._reader
        return status

    def _send(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    async def _read(self) -> None:
        assert self._child is not None
        assert self._child.stderr is not None
        async for raw in self._child.stderr:
            self._keep(raw.decode().rstrip("\n"))
            await self._tell()
        # Whoever waits for a line that did not come learns that none will.
        self._over = True
        await self._tell()

    async def _tell(self) -> None:
        async with self._grew:
            self._grew.notify_all()

    def _keep(self, line: str) -> None:
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        if isinstance(fields, dict):
            self.lines.append(fields)
        else:
            self.said.append(line)


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    """The fields that can be compared as pairs."""
    return {key: value for key, value in line.items() if isinstance(value, str | int | float | bool | None)}
