"""Fixtures for all tests: Postgres servers, started once a run, and a fresh database for each test."""

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from tests.postgres.servers import NAMES, TestServer, binaries, running

# An example on a machine that stands still for a moment is no failure; in CI Hypothesis says so by itself.
hypothesis.settings.register_profile("default", hypothesis.settings.get_profile("default"), deadline=None)
# For a search by hand: --hypothesis-profile long.
hypothesis.settings.register_profile("long", max_examples=3000, stateful_step_count=150, deadline=None)

# Folder -> when its tests run; those not named come after the core.
TIERS = {
    "core": 0,
    "web": 2,
    "postgres": 3,
    "demo": 4,
    "ingest": 4,
    "doctor": 4,
    "faults": 5,
    "system": 5,
    "clients": 6,
    "breaks": 6,
    "prometheus": 6,
    "proxies": 6,
    "scripts": 6,
    "browser": 7,
}

# What differs between versions of Postgres is the SQL, and all of that is tested on each of them. For what stands above
# it one version does, but for the tests that are marked every_postgres: the whole way of an event.
ABOVE_SQL = TIERS.keys() - {"core", "postgres"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        action="append",
        choices=NAMES,
        help="run the database tests on this version only (may be given again); default: those in tests/postgres on "
        "all of them, the others on the newest",
    )
    parser.addoption("--seed", type=int, help="of the randomized workload: repeats what its writers and clients do")
    parser.addoption("--write-examples", action="store_true", help="store what the description shows as examples anew")
    parser.addoption(
        "--hold-s", type=float, default=3.0, help="how long the workload holds a write transaction open; 60 is thorough"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "postgres" in metafunc.fixturenames:
        above = metafunc.definition.path.parent.name in ABOVE_SQL
        every = metafunc.definition.get_closest_marker("every_postgres") is not None
        versions = NAMES[:1] if above and not every else NAMES
        chosen = metafunc.config.getoption("--postgres") or versions
        metafunc.parametrize("postgres", chosen, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick and pure first: what is broken there breaks all that stands on it."""
    items.sort(key=lambda item: TIERS.get(item.path.parent.name, 1))


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], TestServer]]:
    """The server of a version, started when it is first asked for and stopped with the last test: `postgres` itself is
    torn down as often as tests of two versions take turns."""
    with ExitStack() as stack:

        @functools.cache
        def server(name: str) -> TestServer:
            return stack.enter_context(running(Path(stack.enter_context(_folder())), name))

        yield server


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, servers: Callable[[str], TestServer]) -> TestServer:
    """A server shared by all tests of a version: do not stop it, take `private_postgres` for that."""
    _require(request.param)
    return servers(request.param)


@pytest.fixture
def private_postgres(postgres: TestServer) -> Iterator[TestServer]:
    """A server of the same version for one test, to stop, restart and kill."""
    with _folder() as folder, running(Path(folder), postgres.name) as server:
        yield server


@pytest.fixture
def new_database(postgres: TestServer) -> Iterator[Callable[..., str]]:
    """Makes databases, `new_database(migrated=True, doorbell=True) -> dsn`, and drops them after the test."""
    names: list[str] = []

    def create(**options: bool) -> str:
        names.append(postgres.create_database(**options))
        return postgres.dsn(names[-1])

    yield create
    for name in names:
        postgres.drop_database(name)


@pytest.fixture
def database(new_database: Callable[..., str]) -> str:
    """The dsn of a fresh migrated database whose doorbell rings."""
    return new_database()


def _require(name: str) -> None:
    if binaries(name) is not None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI must run on it")
    pytest.skip(f"{name} is not installed")


def _folder() -> tempfile.TemporaryDirectory[str]:
    # Under /tmp, which everybody may pass through: root's servers run as another user.
    folder = tempfile.TemporaryDirectory(prefix="orderstream-test-", dir="/tmp", ignore_cleanup_errors=True)
    os.chmod(folder.name, 0o755)
    return folder
