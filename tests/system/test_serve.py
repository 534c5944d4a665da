"""`orderstream serve` refuses to start in one clear line; what it logs names the user and never a secret."""

import socket
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.ports import free_port
from tests.services import SECRET, START_PATIENCE_S, Address, ServiceProcess
from tests.system.clients import open_stream, poll

PASSWORD = "hunter2-and-more"


@pytest.fixture
def listener() -> Any:
    """A port that is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


async def refusal(database: str, **settings: Any) -> str:
    """The one line that it says as it ends with status 2."""
    async with ServiceProcess(database, **settings) as refused:
        status = await refused.wait(START_PATIENCE_S)
    assert status == 2, (refused.lines, refused.said[-5:])
    assert len(refused.said) == 1, refused.said
    assert not [line for line in refused.lines if "exception" in line]
    return refused.said[0]


@pytest.mark.system
@pytest.mark.parametrize(
    ("key", "complaint"),
    [("jwt_secret", "none of jwt_secret, "), ("database_url", "database_url is not set: set ORDERSTREAM_DATABASE_URL")],
)
async def test_serve_refuses_to_start_when_a_setting_is_missing(key: str, complaint: str, database: str) -> None:
    """It says which, and how to set it."""
    line = await refusal(database, **{key: None})
    assert line.startswith(f"orderstream: {complaint}")
    assert f"ORDERSTREAM_{key.upper()}" in line


@pytest.mark.system
async def test_serve_refuses_to_start_when_the_database_is_not_migrated(new_database: Callable[..., str]) -> None:
    """It names the command that helps."""
    line = await refusal(new_database(migrated=False))
    assert line == "orderstream: the database is not migrated: run `orderstream migrate`"


@pytest.mark.system
async def test_serve_refuses_to_start_when_the_database_is_not_reached_in_time() -> None:
    """Within the time given and a start of Python, without the password; refused connections are tried again until
    then."""
    began = time.monotonic()
    url = f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/orders"
    line = await refusal(url, startup_timeout_s=1.0)
    assert line.startswith("orderstream: cannot reach the database 127.0.0.1:")
    assert PASSWORD not in line
    assert time.monotonic() - began > 1.0


@pytest.mark.system
async def test_serve_refuses_to_start_when_the_database_accepts_and_says_nothing(listener: int) -> None:
    """A host that swallows what it is sent is given up as well."""
    line = await refusal(f"postgresql://me@127.0.0.1:{listener}/orders", startup_timeout_s=1.0)
    assert line.startswith("orderstream: cannot reach the database 127.0.0.1:")


@pytest.mark.system
@pytest.mark.parametrize("key", ["listen", "admin_listen"])
async def test_serve_refuses_to_start_when_a_port_is_taken(key: str, database: str, listener: int) -> None:
    """It says which address, and the key that chose it."""
    line = await refusal(database, **{key: f"127.0.0.1:{listener}"})
    assert line == f"orderstream: cannot listen on 127.0.0.1:{listener} ({key}): Address already in use"


@pytest.mark.system
async def test_a_stream_is_logged_when_it_opens_and_when_it_closes(database: str) -> None:
    """Who, how, from where, to where, how long and why; and no credential, nor the key."""
    async with ServiceProcess(database, log_level="debug") as served, aiohttp.ClientSession() as session:
        await served.ready()
        async with open_stream(session, served, "ann", query="00000000.7") as stream:
            end = (await stream.until("snapshot-end"))[-1]
        closed = await served.logged("stream-closed")
        await poll(session, served, "ann")
        served.stop()
        await served.wait()
        (opened,) = served.logs("stream-opened")
        written = f"{served.lines}{served.said}"

    assert opened.items() >= {"user_id": "ann", "transport": "sse", "cursor": "00000000.7"}.items()
    assert closed.items() >= {"user_id": "ann", "transport": "sse", "cursor": end.id, "reason": "client-gone"}.items()
    assert 0 <= closed["open_s"] < 20
    assert SECRET not in written
    assert Address().jwt("ann").split(".")[0] not in written
