"""`orderstream serve --processes N`: N processes of the service on one port, and what keeps them running.

Python runs on one core, so a machine's cores are used by as many processes. Each listens on `listen` for itself
(SO_REUSEPORT): the kernel deals new connections out by their addresses, and none goes through us. They know nothing of
each other beyond what processes on other machines know; `admin_listen` of the second is one port further, and so on.

    ends by itself         started anew, after a pause that doubles while it does not last
    refuses its first start for what its operator did (status 2): all end, with that status, as one process would
    SIGTERM, SIGINT        passed on: all drain; a second one ends them at once
    we are killed          they notice that our end of their standard input is closed, and drain
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from orderstream import logs
from orderstream.errors import OperatorError, SettingsError
from orderstream.settings import Settings, host_port

_log = structlog.get_logger()

# Between an end and the next start: a crash is over at once, and one that repeats costs little.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# Who ran for so long did not end for how it was started.
_LASTING_S = 60.0
# Beyond `drain_timeout_s`, for what a process does when all clients are gone.
_GRACE_S = 10.0
_REFUSED = 2


class Worker:
    """One of the processes: its number from 0, and how it is started."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self._command = command
        self._child: asyncio.subprocess.Process | None = None
        self._told: list[signal.Signals] = []
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Starts it, again and again until it was told to end; gives the status of the last. May not be cancelled."""
        pause_s, first = _FIRST_PAUSE_S, True
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            status = await self._live()
            if self._told or (first and status == _REFUSED):
                return status
            if loop.time() - since >= _LASTING_S:
                pause_s = _FIRST_PAUSE_S
            _log.error("worker-ended", worker=self.number, status=status, again_in_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
                return status
            pause_s, first = min(2 * pause_s, _LONGEST_PAUSE_S), False

    def tell(self, number: signal.Signals) -> None:
        """Passes a signal on; it is not started again."""
        self._told.append(number)
        self._stopping.set()
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(number)

    async def _live(self) -> int:
        self._child = await asyncio.create_subprocess_exec(
            *self._command,
            *("--worker", str(self.number)),
            stdin=asyncio.subprocess.PIPE,
            # Ctrl-C on a terminal goes to us alone, and we pass it on once.
            start_new_session=True,
        )
        _log.info("worker-started", worker=self.number, pid=self._child.pid)
        # What came while it was being started.
        for number in self._told:
            self._child.send_signal(number)
        # `wait`, and not `communicate`: our end of its standard input stays open.
        return await self._child.wait()


async def supervise(settings: Settings, processes: int, config: Path | None) -> int:
    """Runs until SIGTERM or SIGINT, and gives the exit status. Raises OperatorError."""
    _require_ports(settings, processes)
    repeats = logs.configure(log_format=settings.log_format, log_level=settings.log_level)
    command = [sys.executable, "-m", "orderstream.cli", *(("--config", str(config)) if config else ()), "serve"]
    workers = [Worker(number, command) for number in range(processes)]
    stopping = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        for worker in workers:
            worker.tell(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    async with repeats.told():
        running = [asyncio.create_task(worker.run(), name=f"worker-{worker.number}") for worker in workers]
        stopped = asyncio.create_task(stopping.wait())
        # A worker ends for good only when it was told to, or refused to start.
        await asyncio.wait([*running, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.is_set():
            stop(signal.SIGTERM)
        await asyncio.wait(running, timeout=settings.drain_timeout_s + _GRACE_S)
        for worker in workers:
            worker.tell(signal.SIGKILL)
        statuses = await asyncio.gather(*running)
    # One that was told to end before it listened to signals did as it was told.
    ended = [status for status in statuses if status not in (-signal.SIGTERM, -signal.SIGINT)]
    return _REFUSED if _REFUSED in ended else max(map(abs, ended), default=0)


async def orphaned() -> None:
    """For a worker: returns once its supervisor is gone."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with contextlib.closing(transport):
        await reader.read()


def admin_listen_of(settings: Settings, worker: int) -> str:
    """`admin_listen`, as many ports further."""
    host, _, port = settings.admin_listen.rpartition(":")
    return f"{host}:{int(port) + worker}"


def _require_ports(settings: Settings, processes: int) -> None:
    _, admin_port = host_port(settings.admin_listen)
    if admin_port + processes > 65_536:
        raise SettingsError(f"admin_listen must leave room for {processes} ports from {admin_port} on")
    host, port = host_port(settings.listen)
    # Workers share the port with whoever else would: that nobody has it yet is for us to see.
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise OperatorError(f"cannot listen on {host}:{port} (listen): {os.strerror(error.errno or 0)}") from None
