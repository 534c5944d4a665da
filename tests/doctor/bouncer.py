"""A real pgbouncer between a test and its Postgres."""

import asyncio
import os
import pwd
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from psycopg2.extensions import make_dsn, parse_dsn

from tests.clients.programs import program
from tests.ports import free_port
from tests.waiting import PATIENCE_S


@asynccontextmanager
async def pgbouncer(dsn: str, *, mode: str, connections: int, port: int | None = None) -> AsyncIterator[str]:
    """The dsn of the same database through it; `connections` is how many it has to Postgres for all its clients. On
    `port`, else on a free one."""
    said, port = parse_dsn(dsn), port or free_port()
    with tempfile.TemporaryDirectory(prefix="orderstream-test-", dir="/tmp") as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / "users").write_text(f'"{said["user"]}" ""\n')
        (home / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={said['port']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {home}/users\n"
            f"pool_mode = {mode}\ndefault_pool_size = {connections}\n"
        )
        # It refuses to run as root.
        user = pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None
        child = await asyncio.create_subprocess_exec(
            program("pgbouncer", "/usr/sbin/pgbouncer"),
            "--quiet",
            str(home / "ini"),
            user=user,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await _listening(port, child)
            yield make_dsn(dsn, host="127.0.0.1", port=port)
        finally:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()


async def _listening(port: int, child: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            assert child.returncode is None, "pgbouncer ended by itself"
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)
