"""Sessions whose sockets libpq closes, and opens anew, under the loop's hands."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import uvloop
from psycopg2.extensions import make_dsn

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import open_session
from tests.services import PATIENCE_S
from tests.waiting import eventually

pytestmark = pytest.mark.parametrize(
    "new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"]
)
NewLoop = Callable[[], asyncio.AbstractEventLoop]


# In a process of its own, which waits for nobody here.
WALL = """
import socket, struct
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    taken, _ = listener.accept()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    taken.close()
"""


@pytest.fixture
def wall() -> Iterator[int]:
    """A port where every connection is taken and reset at once, whatever the loop is at."""
    with subprocess.Popen([sys.executable, "-c", WALL], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def test_session_is_opened_however_many_others_were_reset(database: str, wall: int, new_loop: NewLoop) -> None:
    """None is refused for what an earlier one on a socket of the same number met, and nothing waits for ever."""
    dead = make_dsn(database, host="127.0.0.1", port=wall)

    async def live() -> list[object]:
        answers: list[object] = []
        for _ in range(50):
            with pytest.raises(DatabaseUnavailable, match="does not answer"):
                await open_session(dead, name="test", timeout_s=PATIENCE_S)
            session = await open_session(database, name="test", timeout_s=PATIENCE_S)
            answers += await session.fetch("select 1")
            await session.close()
        return answers

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(live()) == [(1,)] * 50


def test_session_that_ended_leaves_no_descriptor(database: str, wall: int, new_loop: NewLoop) -> None:
    """Neither its socket nor what watched it, whichever way it ended."""

    async def end_in_every_way() -> None:
        for dsn in (make_dsn(database, host="127.0.0.1", port=wall), make_dsn(database, port=1)):
            with pytest.raises(DatabaseUnavailable):
                await open_session(dsn, name="test", timeout_s=PATIENCE_S)
        session = await open_session(database, name="test", timeout_s=PATIENCE_S)
        await session.close()

    async def live() -> None:
        # A loop opens what it needs itself when it is first used.
        await end_in_every_way()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await end_in_every_way()
        # A transport that closed is gone some turns later.
        await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(live())
