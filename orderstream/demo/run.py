"""The demo: a Postgres, the service and the exchange, started in that order and stopped in the other.

The service and the exchange are programs of their own, as in earnest; their output goes to files, so that
what this one prints stays on the screen.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shlex
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from orderstream.demo.embedded import EmbeddedPostgres
from orderstream.demo.hints import USER, typed, what_to_try
from orderstream.errors import OperatorError
from orderstream.postgres import dsn, migrations
from orderstream.settings import PREFIX, Settings, host_port

_READY_TIMEOUT_S = 60.0
_CANARY = "canary"
_REPLAY = "ingest-fix"
_READY_EVERY_S = 0.1
_KILL_AFTER_S = 5.0

Say = Callable[[str], None]


class DemoError(OperatorError):
    """The demo cannot start, or a part of it ended; the line says which and why."""


def become_exchange(settings: Settings, rate: str) -> None:
    """Turns this program into the exchange; does not return."""
    environment = _environment() | {f"{PREFIX}DATABASE_URL": settings.database_url}
    os.execve(sys.executable, _exchange_command(rate), environment)


class Replay(msgspec.Struct, frozen=True):
    """A FIX log to play instead of the exchange, at `pace` times that of its SendingTime."""

    log: Path
    pace: float


async def run(settings: Settings, *, folder: Path, port: int | None, rate: str, replay: Replay | None, say: Say) -> int:
    """Runs until SIGINT or SIGTERM and gives the exit status: 0, or 1 if a part ended by itself.

    Raises DemoError, and what migrating raises, if it cannot start; whatever was started is stopped by then.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    settings = _with_ports(settings, port)
    with _only_one(folder):
        _refuse_taken_ports(settings)
        settings = _with_jwt_secret(settings, folder)
        async with _database(settings, folder, say) as (settings, psql):
            await asyncio.to_thread(
                migrations.apply, settings.database_url, True, say, timeout_s=settings.startup_timeout_s
            )
            trade = _exchange_command(rate) if replay is None else _replay_command(replay, folder)
            return await _run_parts(settings, folder, trade, psql, stopping, say)


async def _run_parts(
    settings: Settings, folder: Path, trade: list[str], psql: str, stopping: asyncio.Event, say: Say
) -> int:
    """`trade` is the command of the exchange, or of the replay that stands in for it."""
    prices_path = folder / "prices.json"
    kill_after_s = settings.drain_timeout_s + _KILL_AFTER_S
    environment = _environment() | {
        f"{PREFIX}{key.upper()}": getattr(settings, key)
        for key in ("database_url", "listen", "admin_listen", "jwt_secret")
    }
    environment[f"{PREFIX}CANARY_USER"] = settings.canary_user or _CANARY
    commands = {
        "service": [sys.executable, "-m", "orderstream.demo.serve", str(prices_path)],
    }
    if _REPLAY in trade:
        commands["replay"] = trade
    else:
        commands["exchange"] = [*trade, "--prices", str(prices_path)]
    async with contextlib.AsyncExitStack() as stack:
        parts: dict[str, Process] = {}
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
        stack.callback(stopped.cancel)
        for name, command in commands.items():
            log = folder / f"{name}.log"
            say(f"starting the {name} (its log: {log})")
            part = await stack.enter_async_context(_part(command, log, environment, kill_after_s))
            parts[name] = part
            if name == "service":
                await _until_ready(settings, part, stopped)
            if stopped.done() or part.returncode is not None:
                break
        else:
            say(what_to_try(settings, psql))
        ended = await _first_to_end(parts, stopped)
        if ended == "replay" and parts[ended].returncode in (0, 1):
            # What it wrote stays to be looked at.
            say(f"the log is played:\n{(folder / 'replay.log').read_text().rstrip()}")
            del parts[ended]
            ended = await _first_to_end(parts, stopped)
        if ended is None:
            say("stopping")
            return 0
        say(f"the {ended} ended with status {parts[ended].returncode}: {_last_line(folder / f'{ended}.log')}")
        return 1


async def _first_to_end(parts: dict[str, Process], stopped: asyncio.Future[Any]) -> str | None:
    """The name of the part that ended by itself; None when the demo was told to stop."""
    waits: dict[asyncio.Future[Any], str] = {asyncio.ensure_future(part.wait()): name for name, part in parts.items()}
    done, _ = await asyncio.wait([*waits, stopped], return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if stopped in done:
        return None
    return next(name for wait, name in waits.items() if wait in done)


@contextlib.asynccontextmanager
async def _part(
    command: list[str], log: Path, environment: dict[str, str], kill_after_s: float
) -> AsyncIterator[Process]:
    """A program that is ended at the end: SIGTERM, then SIGKILL."""
    with log.open("wb") as output:
        # A session of its own: Ctrl-C on the terminal goes to us alone, and we stop the parts in order.
        part = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        yield part
    finally:
        await _end(part, kill_after_s)


async def _end(part: Process, kill_after_s: float) -> None:
    if part.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        part.terminate()
    try:
        await asyncio.wait_for(part.wait(), kill_after_s)
    except TimeoutError:
        part.kill()
        await part.wait()


async def _until_ready(settings: Settings, service: Process, stopped: asyncio.Future[Any]) -> None:
    """Returns when the service takes clients, ended, or the demo was told to stop."""
    url = f"http://{settings.admin_listen}/health/ready"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_TIMEOUT_S):
            while service.returncode is None and not stopped.done():
                if await asyncio.to_thread(_answers, url):
                    return
                await asyncio.sleep(_READY_EVERY_S)
            return
    raise DemoError(f"the service was not ready after {_READY_TIMEOUT_S:.0f} s")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextlib.asynccontextmanager
async def _database(settings: Settings, folder: Path, say: Say) -> AsyncIterator[tuple[Settings, str]]:
    """The settings with a database that runs, and the command that opens it in a terminal."""
    if settings.database_url:
        say(f"using the database {dsn.target(settings.database_url)}")
        yield settings, shlex.join(["psql", dsn.without_secrets(settings.database_url)])
        return
    postgres = EmbeddedPostgres(folder / "postgres")
    # Nobody else runs this folder's demo, so what runs on its cluster was left by one that was killed.
    await asyncio.to_thread(postgres.reclaim)
    say(f"starting the embedded Postgres in {postgres.home}" + ("" if postgres.is_made else " (making it first)"))
    try:
        await asyncio.to_thread(postgres.start)
        psql = shlex.join([typed(postgres.bin_path / "psql"), postgres.dsn()])
        yield msgspec.structs.replace(settings, database_url=postgres.dsn()), psql
    finally:
        say("stopping the embedded Postgres")
        await asyncio.to_thread(postgres.close)


def _with_ports(settings: Settings, port: int | None) -> Settings:
    if port is None:
        return settings
    return msgspec.structs.replace(settings, listen=f"127.0.0.1:{port}", admin_listen=f"127.0.0.1:{port + 1}")


def _with_jwt_secret(settings: Settings, folder: Path) -> Settings:
    """The settings with a key, kept from one run to the next so that a JWT stays good."""
    if settings.jwt_secret:
        return settings
    path = folder / "jwt_secret"
    with (
        contextlib.suppress(FileExistsError),
        open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file,
    ):
        file.write(secrets.token_urlsafe(48))
    return msgspec.structs.replace(settings, jwt_secret=path.read_text().strip())


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps a second demo out of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo runs in {folder.absolute()}: stop it, or choose another --folder") from None
        yield


def _refuse_taken_ports(settings: Settings) -> None:
    for address in (settings.listen, settings.admin_listen):
        host, port = host_port(address)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OSError as error:
                raise DemoError(f"cannot listen on {address} ({error.strerror}): choose another --port") from None


def _exchange_command(rate: str) -> list[str]:
    return [sys.executable, "-m", "orderstream.demo.exchange", "--rate", rate]


def _replay_command(replay: Replay, folder: Path) -> list[str]:
    """As orders of one user who can sign in, with a silence cut to a second; new ones each time, to be seen again."""
    options = [
        "--user",
        USER,
        "--pace",
        f"{replay.pace:.6f}",
        "--silence-most-s",
        "1",
        "--source",
        f"replay {time.time():.0f}",
    ]
    aside = ["--set-aside", str(folder / "replay.set-aside")]
    return [sys.executable, "-m", "orderstream.cli", _REPLAY, *options, *aside, str(replay.log.absolute())]


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
