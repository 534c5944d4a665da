"""The session that hears of revocations: how long it may be dead before this process knows."""

import asyncio
import os
import socket
from typing import Any

import pytest
from psycopg2.extensions import parse_dsn

from orderstream.metrics import PrometheusMeter
from orderstream.postgres import revocations
from orderstream.postgres.connections import Session
from orderstream.postgres.pooling import open_lasting
from orderstream.postgres.revocations import RevocationListener
from orderstream.sessions import Sessions
from tests.postgres.servers import TestServer
from tests.services import PATIENCE_S


async def test_server_that_vanishes_is_noticed_within_three_seconds(
    postgres: TestServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernel, which asks it in our place when all is quiet, and gives up what it does not acknowledge."""
    opened: list[Session] = []

    async def open_and_keep(*arguments: Any, **named: Any) -> Session:
        opened.append(await open_lasting(*arguments, **named))
        return opened[-1]

    monkeypatch.setattr(revocations, "open_lasting", open_and_keep)
    dsn = f"postgresql://postgres@127.0.0.1:{postgres.tcp_port}/{parse_dsn(database)['dbname']}"
    listener = RevocationListener(dsn, Sessions(linger_s=1, max_polling=1), PrometheusMeter(), timeout_s=PATIENCE_S)
    running = asyncio.create_task(listener.run())
    await asyncio.wait_for(listener.connected.wait(), PATIENCE_S)
    with socket.socket(fileno=os.dup(opened[0]._connection.raw.fileno())) as own:
        idle_s, every_s, most = (
            own.getsockopt(socket.IPPROTO_TCP, getattr(socket, option))
            for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        )
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 3000
    assert idle_s + every_s * most <= 3
    running.cancel()
    await asyncio.wait([running])
