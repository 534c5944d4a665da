"""Connections: what is slow or too large is cut, and what cannot be read is told so as a problem."""

import asyncio

import pytest
import structlog
from aiohttp import web

from orderstream.web.connection import ConnectionSettings
from tests.waiting import PATIENCE_S, eventually, let_pass
from tests.web.edge import Edge, edge, request

# For what is not to be served in that time, either.
SHORT = ConnectionSettings(request_head_timeout_s=0.05)
HEAD_S = ConnectionSettings().request_head_timeout_s
# Long enough for a handler to begin, on a machine that is slow for a moment.
BODY_S = 1.0
HEAD = b"GET /v1/orders HTTP/1.1\r\nHost: localhost\r\n"
MARK = "aTtAcKeR"
NOW = 'W/"0a0a0a0a.0"'


@pytest.mark.parametrize(
    ("raw", "status", "kind"),
    [
        (f"GET /{MARK} HTTP/9.9\r\n\r\n".encode(), 400, "bad-request"),
        (f"{MARK}\r\n\r\n".encode(), 400, "bad-request"),
        (b"\x16\x03\x01\x02\x00\x01" + MARK.encode(), 400, "bad-request"),
        (f"GET / HTTP/1.1\r\n{MARK}: x\r\n\r\n".encode(), 400, "bad-request"),
        (HEAD + f"{MARK} x: y\r\n\r\n".encode(), 400, "bad-request"),
        (HEAD + f"X: {MARK}\0\r\n\r\n".encode(), 400, "bad-request"),
        (HEAD + f"Host: {MARK}\r\n\r\n".encode(), 400, "bad-request"),
        (HEAD + f"Content-Length: {MARK}\r\n\r\n".encode(), 400, "bad-request"),
        (HEAD + f"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nX: {MARK}\r\n\r\n".encode(), 400, "bad-request"),
        (f"{MARK} /v1/orders HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 400, "bad-request"),
        (f"GET /v1/orders?{MARK}\r\n\r\n".encode(), 400, "bad-request"),
        (f"GET /v1/orders?{MARK} HTTP/0.9\r\n\r\n".encode(), 400, "bad-request"),
        (f"GET /v1/orders?{MARK} HTTP/2.0\r\nHost: localhost\r\n\r\n".encode(), 400, "bad-request"),
        (f"GET ftp://{MARK}/v1/orders HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 400, "bad-request"),
        (f"GET http://[{MARK}/ HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 400, "bad-request"),
        (f"GET /{MARK * 1100} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 414, "uri-too-long"),
        (HEAD + f"X: {MARK * 2100}\r\n\r\n".encode(), 431, "header-too-large"),
        (HEAD + f"{MARK * 2100}: x\r\n\r\n".encode(), 431, "header-too-large"),
        (HEAD + b"".join(f"X-{MARK}-{n}: x\r\n".encode() for n in range(64)) + b"\r\n", 431, "header-too-large"),
        (HEAD + f"Connection: close\r\nExpect: {MARK}\r\n\r\n".encode(), 417, "expectation-failed"),
    ],
)
async def test_limit_8_unreadable_request_is_told_so_without_being_shown(raw: bytes, status: int, kind: str) -> None:
    """A problem, with none of its bytes, no HTML, no name from Python, and the headers of every answer."""
    async with edge() as served:
        answer = await served.raw(raw)
    assert (answer.status, answer.kind) == (status, kind)
    assert MARK.lower() not in answer.raw.decode("latin-1").lower()
    assert not [word for word in (b"<", b"aiohttp", b"Python", b"Error") if word in answer.raw]
    assert answer.raw.startswith(b"HTTP/1.1 ")
    assert answer.headers["server"] == "orderstream"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("target", "version"), [("/v1/orders", "1.0"), ("http://x/v1/orders", "1.1"), ("https://x/v1/orders", "1.1")]
)
async def test_limit_8_older_version_and_whole_address_are_readable(target: str, version: str) -> None:
    """HTTP/1.0, and the absolute form of a target (RFC 9112 section 3.2.2)."""
    async with edge() as served:
        answer = await served.raw(f"GET {target} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.status == 401


@pytest.mark.parametrize("sent", [b"", b"GET /v1/orders HTT", HEAD + b"X: "])
async def test_limit_9_connection_is_closed_when_its_head_does_not_come(sent: bytes) -> None:
    """Silence, or a head that stops in the middle."""
    async with edge(connections=SHORT) as served:
        line = await served.line()
        line.send(sent)
        assert await line.rest() == b""


async def test_limit_9_head_must_be_whole_in_time_even_if_it_keeps_coming() -> None:
    """A byte now and then buys no time."""
    settings = ConnectionSettings(request_head_timeout_s=0.3, keepalive_timeout_s=3600)
    async with edge(connections=settings) as served:
        line = await served.line()
        line.send(HEAD)
        closed = asyncio.ensure_future(line.rest())
        while not closed.done():
            line.send(b"X: y\r\n")
            await asyncio.wait([closed], timeout=0.02)
        assert closed.result() == b""


async def test_limit_9_next_head_has_the_same_time() -> None:
    """A connection that was good once is no better than a new one."""
    async with edge() as served:
        line = await served.line()
        line.send(request("/v1/orders"))
        await line.until(b"}")
        line.send(HEAD)
        await served.head_began()
        let_pass(HEAD_S)
        assert await line.rest() == b""


@pytest.mark.parametrize("sent", [b"GET /x HTTP/1.1\r\nX", b"G"])
async def test_limit_9_head_that_began_behind_a_busy_request_has_the_same_time(sent: bytes) -> None:
    """From that request's answer on, which it does not disturb."""
    async with edge() as served:
        line = await served.line()
        line.send(request("/v1/orders/poll", If_None_Match=NOW, Prefer="wait=1") + sent)
        assert (await line.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 304")
        await served.head_began()
        let_pass(HEAD_S)
        assert await line.rest() == b""


async def test_limit_9_head_that_began_behind_a_busy_request_may_be_whole_in_time() -> None:
    """It is answered as any."""
    async with edge() as served:
        line = await served.line()
        line.send(request("/v1/orders/poll", If_None_Match=NOW, Prefer="wait=1") + HEAD)
        await line.until(b"HTTP/1.1 304")
        line.send(b"\r\n")
        await line.until(b"HTTP/1.1 401")


async def test_idle_connection_is_closed_after_a_while() -> None:
    """The next request need not have begun."""
    async with edge(connections=ConnectionSettings(keepalive_timeout_s=0.2)) as served:
        line = await served.line()
        line.send(request("/v1/orders"))
        await line.until(b"}")
        assert await line.rest() == b""


async def test_limit_8_head_is_bounded_as_a_whole() -> None:
    """Many headers, none of them too long, are cut off."""
    settings = ConnectionSettings(head_max_bytes=4096, request_head_timeout_s=3600)
    async with edge(connections=settings) as served:
        line = await served.line()
        line.send(HEAD)
        closed = asyncio.ensure_future(line.rest())
        while not closed.done():
            line.send(b"X: " + b"y" * 200 + b"\r\n")
            await asyncio.wait([closed], timeout=0.001)
        assert closed.result() == b""


async def test_stream_outlives_the_time_for_its_head() -> None:
    """The deadline is the head's, not the request's."""
    async with edge() as served:
        line = await served.stream()
        let_pass(HEAD_S)
        # What was due by now has come before this is answered.
        await served.ask("/v1/orders")
        served.store.place("u1")
        await line.until(b"event: order\n")


async def test_limit_10_body_that_trickles_is_cut_off() -> None:
    """Whether a handler waits for it or not."""
    read: list[BaseException] = []
    slow_bodies = ConnectionSettings(request_body_timeout_s=BODY_S)

    async def slow(incoming: web.Request) -> web.Response:
        try:
            return web.Response(body=await incoming.read())
        except BaseException as error:
            read.append(error)
            raise

    async with edge(connections=slow_bodies, more=lambda app: app.router.add_post("/slow", slow)) as served:
        line = await served.line()
        line.send(request("/slow", method="POST", Content_Length="9") + b"four")
        assert await line.rest() == b""
        await eventually(lambda: read)
    assert isinstance(read[0], asyncio.CancelledError)


async def test_body_in_time_is_taken() -> None:
    """And the connection stays open for the next request."""

    async def echo(incoming: web.Request) -> web.Response:
        return web.Response(body=await incoming.read())

    async with edge(more=lambda app: app.router.add_post("/echo", echo)) as served:
        line = await served.line()
        line.send(request("/echo", method="POST", Content_Length="8") + b"four")
        line.send(b"more")
        assert (await line.until(b"fourmore")).startswith(b"HTTP/1.1 200")
        line.send(request("/v1/orders"))
        assert (await line.until(b"}")).startswith(b"HTTP/1.1 200")


CHUNKED = b"10001\r\n" + b"x" * 0x10001 + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("declared", "body"), [({"Content_Length": "65537"}, b""), ({"Transfer_Encoding": "chunked"}, CHUNKED)]
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/tickets"), ("GET", "/v1/orders/stream"), ("PUT", "/")])
async def test_limit_8_body_that_is_too_large_is_413(
    declared: dict[str, str], body: bytes, method: str, path: str
) -> None:
    """At once where its length is told, else when it is there; also where no handler reads one."""
    async with edge() as served:
        answer = await served.raw(request(path, method=method, Connection="close", **declared) + body)
    assert (answer.status, answer.kind) == (413, "content-too-large")


async def test_limit_8_body_in_chunks_is_taken() -> None:
    """As large as may be, with extensions and trailers, and the next request behind it."""
    body = b"8000;a=b\r\n" + b"x" * 0x8000 + b"\r\n"
    async with edge() as served:
        line = await served.line()
        line.send(request("/v1/orders", Transfer_Encoding="chunked") + 2 * body + b"0\r\nX-Trailer: y\r\n\r\n")
        assert (await line.until(b"}")).startswith(b"HTTP/1.1 200")
        line.send(request("/v1/orders"))
        assert (await line.until(b"}")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("piece", [b"1;" + b"e" * 4000 + b"\r\nx\r\n", b"e" * 4000], ids=["chunks", "one chunk's head"])
async def test_limit_8_extensions_of_chunks_are_bounded_as_a_whole(piece: bytes) -> None:
    """They are no part of the body: however small that is, the connection is closed, long before its time is up."""
    settings = ConnectionSettings(request_body_timeout_s=3600)
    with structlog.testing.capture_logs() as lines:
        async with edge(connections=settings) as served:
            line = await served.line()
            line.send(request("/v1/tickets", method="POST", Transfer_Encoding="chunked") + b"1;")
            closed, sent = asyncio.ensure_future(line.rest()), 0
            while not closed.done():
                line.send(piece)
                sent += len(piece)
                await asyncio.wait([closed], timeout=0.001)
            assert closed.result() == b""
    assert sent > 2 * 65_536
    assert lines == []


@pytest.mark.parametrize("body", [b"2\r\nab\r\nzz\r\n", b"zz\r\n", b"9\r\nab", b"", None], ids=repr)
async def test_limit_10_body_that_is_no_body_ends_the_request(
    body: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A chunk whose size cannot be read, or that does not come, or a client that leaves (None): the connection ends
    in time, without an answer and without a word in the log, which others would fill."""
    with structlog.testing.capture_logs() as lines:
        async with edge(connections=ConnectionSettings(request_body_timeout_s=BODY_S)) as served:
            line = await served.line()
            line.send(request("/v1/tickets", method="POST", Transfer_Encoding="chunked", Expect="100-continue"))
            await line.until(b"100 Continue\r\n\r\n")
            if body is None:
                await line.close()
            else:
                line.send(body)
            assert await line.rest() == b""
    assert [*lines, *caplog.records] == []


async def test_limit_11_connections_beyond_the_most_are_closed_at_once() -> None:
    """Those that are open stay, and one that ends makes room."""
    async with edge(connections=ConnectionSettings(max_connections=2)) as served:
        first, second = await served.stream(), await served.stream()
        assert await (await served.line()).rest() == b""
        await first.close()
        await until_admitted(served)
        second.send(b"")


async def until_admitted(served: Edge) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            line = await served.line()
            line.send(request("/v1/orders", Connection="close"))
            if await line.rest():
                return
