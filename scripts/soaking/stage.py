"""What is put under load: a Postgres, and services that share its database."""

import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orderstream.demo.embedded import EmbeddedPostgres
from scripts.benchmark.child import Child, free_port, listens
from scripts.benchmark.orders import Orders
from scripts.fleet.connection import Target

_RETENTION_EVERY_S = 5.0
# A user's log is full before it counts. With the default, 256, memory would rise until each user had as many, at 850
# bytes an event: for hours.
LOG_MAX_EVENTS = 4


class Service:
    """`orderstream serve`, started, with its usual limits, at `target`; `ready` waits until it serves."""

    def __init__(self, number: int, dsn: str, secret: str, retention_s: float, folder: Path) -> None:
        self.number = number
        self.admin_port = free_port()
        self._port = port = free_port()
        self.target = Target(f"http://127.0.0.1:{port}")
        settings = {
            "database_url": dsn,
            "jwt_secret": secret,
            "listen": f"127.0.0.1:{port}",
            "admin_listen": f"127.0.0.1:{self.admin_port}",
            "log_format": "json",
            "log_max_events": LOG_MAX_EVENTS,
            "retention_events_s": retention_s,
            "retention_every_s": min(_RETENTION_EVERY_S, retention_s / 4),
        }
        environment = {f"ORDERSTREAM_{key.upper()}": str(value) for key, value in settings.items()}
        command = [sys.executable, "-m", "orderstream.cli", "serve"]
        self.child = Child(f"service-{number}", command, folder, core=None, environment=environment)

    def ready(self) -> None:
        """Raises Trouble where it ends, or takes too long."""
        self.child.wait_for(lambda: listens(self._port))

    @property
    def pid(self) -> int:
        return self.child.pids[0]

    def complaints(self) -> list[str]:
        """What it logged as errors, or said outside of its log, or that it has ended."""
        lines = self.child.log.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [line for line in lines if _is_complaint(line)]
        return found + (["it ended by itself"] if self.child.is_over else [])


def _is_complaint(line: str) -> bool:
    try:
        return bool(json.loads(line)["level"] in ("error", "critical"))
    except (ValueError, KeyError, TypeError):
        return True


class Stage:
    """`dsn` is for whoever writes orders, `secret` for whoever makes JWTs."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.secret = secrets.token_hex(32)
        self.services: list[Service] = []


@contextmanager
def staged(folder: Path, services: int, retention_s: float) -> Iterator[Stage]:
    """All of it serving; ended with the block."""
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        postgres.start()
        stage = Stage(Orders(postgres, "ours").dsn)
        try:
            for number in range(1, services + 1):
                stage.services.append(Service(number, stage.dsn, stage.secret, retention_s, folder))
            for service in stage.services:
                service.ready()
            yield stage
        finally:
            for service in stage.services:
                service.child.stop()
    finally:
        postgres.close()
