"""Postgres servers of the tests: the embedded 18 and Debian's 15, each with a migrated template database."""

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg2

from orderstream.demo.embedded import EmbeddedPostgres, wheel_binaries
from orderstream.postgres import migrations
from tests.ports import free_port

NAMES = ("pg18", "pg15")

_TEMPLATE = "template_orderstream"
_DEBIAN = Path("/usr/lib/postgresql")

_SETTINGS = {
    "max_connections": "200",
    # Two-phase commits are tested, so they must be possible; the doorbell is then a setting of the database.
    "max_prepared_transactions": "5",
    "wal_level": "replica",
    "log_min_messages": "info",
    "log_line_prefix": "%m [%p] %q%a %d ",
    "deadlock_timeout": "200ms",
}


def binaries(name: str) -> Path | None:
    """Where the programs of a version are; None where this machine does not have it."""
    if name == "pg18":
        return wheel_binaries()
    folder = _DEBIAN / name.removeprefix("pg") / "bin"
    return folder if (folder / "postgres").exists() else None


class TestServer(EmbeddedPostgres):
    """A server that makes databases; `kill` leaves it as a machine leaves it that lost its power."""

    __test__ = False

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, bin_path=binaries(name), tcp_port=free_port(), settings=_SETTINGS)
        self.name = name
        self._numbers = itertools.count(1)

    @property
    def version(self) -> int:
        return int(self.name.removeprefix("pg"))

    def make_template(self) -> None:
        self.execute(f"create database {_TEMPLATE}")
        migrations.apply(self.dsn(_TEMPLATE))

    def create_database(self, *, migrated: bool = True, doorbell: bool = True) -> str:
        """The name of a new database; writers never ring where `doorbell` is false."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"create database {name} template {_TEMPLATE if migrated else 'template0'}")
        if doorbell:
            self.execute(f"alter database {name} set orderstream.doorbell = 'on'")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"drop database if exists {name} with (force)")

    def execute(self, sql: str, dbname: str = "postgres") -> list[tuple[object, ...]]:
        """Runs one statement in a transaction of its own and gives its rows."""
        with closing(psycopg2.connect(self.dsn(dbname))) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []

    def standby(self) -> "TestServer":
        """A server that started as a copy of this one and follows it; to be closed."""
        standby = TestServer(self.home / "standby", self.name)
        standby._run("pg_basebackup", "-R", "-c", "fast", "-d", self.dsn())
        standby.start()
        return standby

    def promote(self) -> None:
        """A standby becomes a server of its own; returns when it is one."""
        self._run("pg_ctl", "promote", "-w")

    def kill(self) -> None:
        """SIGKILL for every program of the server at once; returns when all are gone."""
        assert self.pid is not None, "the server does not run"
        postmaster = psutil.Process(self.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=60)


@contextmanager
def running(folder: Path, name: str) -> Iterator[TestServer]:
    """A started server with a migrated template; stopped at the end."""
    server = TestServer(folder, name)
    server.start()
    try:
        server.make_template()
        yield server
    finally:
        server.close()
