"""Whatever a client sends: no 5xx, nothing unexpected in the log, and no line of an answer that is the client's."""

import asyncio
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from structlog.testing import capture_logs

from tests.postgres.feed import insert_order, opened
from tests.services import running_service
from tests.waiting import PATIENCE_S
from tests.web.conftest import COOKIE, MakeSite
from tests.web.hostile import GOOD, PIECES, Request, acks, long, requests

KNOWN_HEADERS = frozenset(
    "access-control-allow-credentials access-control-allow-headers access-control-allow-methods"  # noqa: SIM905
    " access-control-allow-origin access-control-expose-headers access-control-max-age allow cache-control connection"
    " content-length content-security-policy content-type cross-origin-resource-policy date etag link"
    " preference-applied referrer-policy retry-after server vary www-authenticate x-accel-buffering"
    " x-content-type-options x-request-id".split()
)
# What may stand between two ends of lines in a stream.
FIELD = re.compile(rb"|retry: \d+|id: [0-9a-f]{8}\.\d{1,19}|event: [a-z-]+|data: \{[\x20-\x7e\x80-\xff]*\}")

# Of this thread's own time, which has both sides and which another program cannot lengthen. Each answer is milliseconds
# of it; what is longer is a parser that goes over its text again and again.
ANSWER_S = 2.0

BOUNDED = settings(
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    # One application answers all of them, as it does in life.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture
async def memory_port(make_site: MakeSite) -> int:
    """An application on orders in memory."""
    site = await make_site(poll_wait_s=0.02, poll_max_wait_s=0.02)
    site.store.change(site.store.place("ann"), status="filled")
    return site.port


@pytest.fixture
async def service_port(database: str) -> AsyncIterator[int]:
    """A whole service."""
    with opened(database) as session, session.cursor() as at:
        insert_order(at, "ann")
    async with running_service(database, jwt_cookie=COOKIE, poll_wait_s=0.02, poll_max_wait_s=0.02) as service:
        yield service.port


@settings(BOUNDED, max_examples=300)
@given(sent=requests)
async def test_whatever_is_asked_is_answered(memory_port: int, sent: Request) -> None:
    """On orders in memory."""
    with quiet():
        check(await answered(memory_port, sent))


@settings(BOUNDED, max_examples=100)
@given(sent=acks)
async def test_whatever_is_acknowledged_is_answered(memory_port: int, sent: Request) -> None:
    """The one body that is read."""
    with quiet():
        check(await answered(memory_port, sent))


@settings(BOUNDED, max_examples=150)
@given(sent=requests)
async def test_whatever_is_asked_is_answered_by_a_whole_service(service_port: int, sent: Request) -> None:
    """On Postgres, where a client's text meets types and encodings that are not Python's."""
    with quiet():
        check(await answered(service_port, sent))


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    ("path", "name", "head"),
    [
        ("/v1/orders/poll", "Prefer", "wait=0"),
        ("/v1/orders/poll", "If-None-Match", 'W/"0a0a0a0a.1",'),
        ("/v1/orders/stream", "Last-Event-ID", "0a0a0a0a.1"),
        ("/v1/orders", "Cookie", f"{COOKIE}="),
        ("/v1/orders", "Authorization", "Bearer "),
        ("/v1/orders", "X-Forwarded-For", "10.0.0.1"),
    ],
)
async def test_longest_header_is_answered_in_time(
    memory_port: int, path: str, name: str, head: str, piece: str
) -> None:
    """With the same piece over and over, which a parser may go back over for each of them."""
    credential = None if name in {"Authorization", "Cookie"} else GOOD
    with quiet():
        check(await answered(memory_port, Request("GET", path, {}, credential, {name: long(head, piece)}, False)))


def check(answer: bytes) -> None:
    """The head is ours, line by line; and so is a stream."""
    head, end, body = answer.partition(b"\r\n\r\n")
    assert end, f"no answer: {answer!r}"
    status, *lines = head.split(b"\r\n")
    assert re.fullmatch(rb"HTTP/1\.[01] [1-4]\d\d [ -~]*", status), answer
    for line in lines:
        assert re.fullmatch(rb"[A-Za-z-]+: [ -~]*", line), line
        assert line.partition(b":")[0].decode().lower() in KNOWN_HEADERS, line
    if b"text/event-stream" in head:
        for line in body[: body.rfind(b"\n\n") + 2].split(b"\n"):
            assert FIELD.fullmatch(line), line


async def answered(port: int, request: Request) -> bytes:
    """The answer; of a stream what comes until it is live or ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got, began = b"", time.thread_time()
    try:
        writer.write(request.encoded(port))
        async with asyncio.timeout(PATIENCE_S):
            while b"event: live\n" not in got and (chunk := await reader.read(65_536)):
                got += chunk
    except ConnectionResetError:
        # What is refused at its first bytes may be reset while we still write; the answer came before.
        pass
    finally:
        writer.close()
    assert time.thread_time() - began < ANSWER_S, request
    return got


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody logs an error meanwhile: not we, not aiohttp, not asyncio."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        with capture_logs() as lines:
            yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []
    assert [record.getMessage() for record in records] == []
