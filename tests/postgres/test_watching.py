"""Sessions whose sockets libpq closes, and opens anew, under the loop's hands."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop
from psycopg2.extensions import make_dsn, parse_dsn

from orderstream.errors import DatabaseUnavailable
from orderstream.postgres.connections import open_session

LOOPS = pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
SSL_REQUEST_BYTES = 8


class Gate:
    """Between a session and the database: resets what asks for encryption while it is shut, and else carries."""

    def __init__(self, upstream: dict[str, str]) -> None:
        self.shut = True
        self.resets = 0
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            asked = await reader.read(SSL_REQUEST_BYTES)
            if not asked:
                return
            if self.shut:
                self.resets += 1
                self.reset()
                return
            there = await asyncio.open_unix_connection(f"{self._upstream['host']}/.s.PGSQL.{self._upstream['port']}")
            self._writers.add(there[1])
            there[1].write(asked)
            await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def reset(self) -> None:
        """All that are open."""
        for writer in self._writers:
            if writer.is_closing():
                continue
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
    writer.close()


@asynccontextmanager
async def gated(database: str) -> AsyncIterator[tuple[Gate, str]]:
    gate = Gate(parse_dsn(database))
    server = await asyncio.start_server(gate.meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield gate, make_dsn(database, host="127.0.0.1", port=port)


@LOOPS
def test_session_is_opened_again_after_others_were_reset(
    database: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """However often the network resets them, before they are open and once they are: no later one is refused for it."""

    async def live() -> tuple[int, list[object]]:
        answers: list[object] = []
        async with gated(database) as (gate, dsn):
            for _ in range(20):
                gate.shut = True
                with pytest.raises(DatabaseUnavailable):
                    await open_session(dsn, name="test", timeout_s=5)
                gate.shut = False
                session = await open_session(dsn, name="test", timeout_s=5)
                answers += await session.fetch("select 1")
                gate.reset()
                with pytest.raises(DatabaseUnavailable):
                    await session.fetch("select 2")
                await session.close()
        return gate.resets, answers

    with asyncio.Runner(loop_factory=new_loop) as runner:
        resets, answers = runner.run(live())
    assert (resets >= 20, answers) == (True, [(1,)] * 20)


@LOOPS
def test_session_that_ended_leaves_no_descriptor(
    database: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Neither its socket nor what watched it, whichever way it ended."""

    async def live() -> int:
        async with gated(database) as (gate, dsn):
            before = len(os.listdir("/proc/self/fd"))
            with pytest.raises(DatabaseUnavailable):
                await open_session(dsn, name="test", timeout_s=5)
            session = await open_session(database, name="test", timeout_s=5)
            await session.close()
            with pytest.raises(DatabaseUnavailable):
                await open_session(make_dsn(database, port=1), name="test", timeout_s=5)
            # The probe of the address, on the gate's side.
            await asyncio.sleep(0)
            gate.reset()
            async with asyncio.timeout(5):
                while len(os.listdir("/proc/self/fd")) > before:
                    await asyncio.sleep(0.01)
            return len(os.listdir("/proc/self/fd")) - before

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(live()) <= 0
