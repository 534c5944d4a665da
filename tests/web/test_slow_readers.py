"""Clients that ask and do not read: real sockets with a small window."""

import select
import socket
from typing import Self

import pytest
from structlog.testing import capture_logs

from orderstream.web.connection import ConnectionSettings
from orderstream.web.limits import LIMITS, LimitSettings
from tests.waiting import eventually, let_pass
from tests.web.edge import Edge, edge, request

QUICK = ConnectionSettings(send_timeout_s=0.5, keepalive_timeout_s=3600)


class NonReader:
    """Sends, and reads nothing."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._state = select.poll()
        self._state.register(self._socket, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, raw: bytes) -> None:
        self._socket.sendall(raw)

    def was_reset(self) -> bool:
        return any(event & select.POLLERR for _, event in self._state.poll(0))


def much(served: Edge, user: str) -> None:
    """Megabytes of orders."""
    for _ in range(20):
        served.store.place(user, reason="x" * 100_000)


@pytest.mark.parametrize(
    ("count", "settings"), [(1, ConnectionSettings(keepalive_timeout_s=0.5)), (120, QUICK)], ids=["one", "many"]
)
async def test_limit_12_answers_nobody_takes_are_reset(count: int, settings: ConnectionSettings) -> None:
    """Anonymous ones: one that the kernel holds for us, and many that it would queue megabytes of."""
    async with edge(connections=settings) as served:
        with NonReader(served.port) as client:
            client.send(request("/openapi.json", user=None) * count)
            await eventually(client.was_reset)


async def test_limit_12_poll_keeps_its_seat_until_its_answer_was_taken() -> None:
    """The answers that wait for one user are as few as the polls that may."""
    async with edge(limits=LimitSettings(max_polls_per_user=1)) as served:
        much(served, "u1")
        with NonReader(served.port) as client:
            client.send(request("/v1/orders/poll"))
            await eventually(lambda: served.app[LIMITS].waiting_polls == 1)
            assert (await served.ask("/v1/orders/poll")).status == 429
            # Again and again: whether its answer was written by now, and its time runs, cannot be seen.
            await eventually(lambda: client.was_reset() or let_pass(ConnectionSettings().send_timeout_s))
        await eventually(lambda: served.app[LIMITS].waiting_polls == 0)
        assert len((await served.ask("/v1/orders/poll")).body) > 2_000_000


async def test_limit_12_stream_nobody_reads_is_reset_and_called_so() -> None:
    """The log tells it from a client that left."""
    async with edge(connections=QUICK) as served:
        much(served, "u1")
        with NonReader(served.port) as client, capture_logs() as lines:
            client.send(request("/v1/orders/stream"))
            await eventually(client.was_reset)
            await eventually(lambda: any(line["event"] == "stream-closed" for line in lines))
    assert [line["reason"] for line in lines if line["event"] == "stream-closed"] == ["slow-consumer"]
