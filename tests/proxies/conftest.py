"""Two services and, in front of them, each of the proxies in turn."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.clients.programs import program
from tests.proxies.fronts import ORIGIN, PROXIES, Front, Write, in_front
from tests.services import ServiceProcess

# An event that is held back anywhere would wait for the next heartbeat, and that is not in a test's time.
SETTINGS = {"trusted_proxies": "127.0.0.1/32", "cors_origins": ORIGIN, "heartbeat_s": 55.0, "retry_ms": 200}


@pytest.fixture
async def services(database: str) -> AsyncIterator[tuple[ServiceProcess, ServiceProcess]]:
    """Both serving."""
    async with ServiceProcess(database, **SETTINGS) as one, ServiceProcess(database, **SETTINGS) as other:
        await one.ready()
        await other.ready()
        yield one, other


@pytest.fixture(params=PROXIES.values(), ids=PROXIES)
def proxy(request: pytest.FixtureRequest) -> Write:
    """What to put in front."""
    write: Write = request.param
    return write


@pytest.fixture
async def front(proxy: Write, services: tuple[ServiceProcess, ServiceProcess], tmp_path: Path) -> AsyncIterator[Front]:
    """The proxy, in front of both."""
    async with in_front(proxy, services, tmp_path) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def certificate(tmp_path: Path) -> None:
    """One of its own making, where both proxies look for it."""
    made = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", "privkey.pem", "-out", "fullchain.pem", "-subj", "/CN=127.0.0.1", "-days", "2"]
    subprocess.run([*made, *files], cwd=tmp_path, check=True, capture_output=True)
    both = [(tmp_path / name).read_text(encoding="ascii") for name in ("fullchain.pem", "privkey.pem")]
    (tmp_path / "orderstream.pem").write_text("".join(both), encoding="ascii")
