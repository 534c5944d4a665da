"""The name of a request, on its answer and on every line that is logged for it, and on no line that is not."""

import re
from collections.abc import Iterator

import pytest
from aiohttp import web
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.waiting import eventually
from tests.web.edge import Answer, edge, request
from tests.web.signing import key_server
from tests.web.test_keys import Clock, fetching
from tests.web.test_problems import ANSWERS, with_broken

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def status_500() -> web.StreamResponse:
    return web.Response(status=500)


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    """What is logged, with what is bound to its context."""
    with capture_logs(processors=[merge_contextvars]) as captured:
        yield captured


@pytest.mark.parametrize("raw", ANSWERS.values(), ids=list(ANSWERS))
async def test_http_10_every_answer_names_its_request(raw: bytes) -> None:
    """Errors, preflights and what could not even be read."""
    async with edge(more=with_broken) as served:
        answer = await served.raw(raw)
    assert re.fullmatch("[0-9a-f]{14}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/stream", "/nothing", "/openapi.json"])
@pytest.mark.parametrize("sent", ["a", "9f0c3f1e-64d8-4a7e-9b57-1d8de53ee1c5", "A.b_c~d-" * 8])
async def test_http_10_request_that_has_a_name_keeps_it(path: str, sent: str) -> None:
    """On a stream's head too."""
    async with edge() as served:
        line = await served.line()
        line.send(request(path, X_Request_Id=sent))
        answer = Answer(await line.until(b"\r\n\r\n"))
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a" * 65, "a b", "a\tb", '"', "é", "a/b", "%0a", "<b>", "a,b"])
async def test_http_10_name_that_is_malformed_is_replaced(sent: str) -> None:
    """It would have come into logs, and onto the screens that show them."""
    async with edge() as served:
        answer = await served.ask("/v1/orders", X_Request_Id=sent)
    assert re.fullmatch("[0-9a-f]{14}", answer.headers["x-request-id"])


async def test_http_10_one_of_two_names_is_not_chosen() -> None:
    """A proxy and a client may each have meant theirs."""
    async with edge() as served:
        answer = await served.ask("/v1/orders", X_Request_Id="one", x_request_id="two")
    assert answer.headers["x-request-id"] not in {"one", "two"}


async def test_http_10_every_line_of_a_stream_has_its_name(lines: list[EventDict]) -> None:
    """From opening to closing, beside another one on the same connection before it."""
    async with edge() as served:
        line = await served.line()
        line.send(request("/v1/orders", X_Request_Id="list"))
        await line.until(b"\r\n\r\n")
        line.send(request("/v1/orders/stream", X_Request_Id="stream", traceparent=TRACEPARENT))
        await line.until(b"event: live\n")
        await line.close()
        await eventually(lambda: [each for each in lines if each["event"] == "stream-closed"])
    assert [(each["event"], each["request_id"], each["trace_id"]) for each in lines] == [
        ("stream-opened", "stream", TRACE),
        ("stream-closed", "stream", TRACE),
    ]


async def test_http_10_failure_is_logged_under_the_name_that_was_answered(lines: list[EventDict]) -> None:
    """With the trace of its caller."""
    async with edge(more=with_broken) as served:
        answer = await served.ask("/broken", X_Request_Id="mine", traceparent=TRACEPARENT)
    [line] = [each for each in lines if each["event"] == "request-failed"]
    assert (line["request_id"], line["trace_id"]) == (answer.problem["request_id"], TRACE) == ("mine", TRACE)


@pytest.mark.parametrize("sent", [{}, {"traceparent": "00-malformed"}, {"traceparent": TRACEPARENT.upper()}])
async def test_line_has_no_trace_where_none_can_be_read(lines: list[EventDict], sent: dict[str, str]) -> None:
    """And the request is answered as any other."""
    async with edge(more=with_broken) as served:
        answer = await served.ask("/broken", **sent)
    assert answer.status == 500
    assert not [each for each in lines if "trace_id" in each]


async def test_requests_at_once_are_not_mistaken_for_each_other(lines: list[EventDict]) -> None:
    """A handler that waits goes on under its own name."""
    arrived: list[str] = []

    async def both(incoming: web.Request) -> web.Response:
        arrived.append(incoming.path)
        await eventually(lambda: len(arrived) == 2)
        raise ValueError

    async with edge(more=lambda app: app.router.add_get("/{name}", both)) as served:
        for name in ("one", "two"):
            (await served.line()).send(request(f"/{name}", X_Request_Id=name))
        await eventually(lambda: len(lines) == 2)
    assert {(line["path"], line["request_id"]) for line in lines} == {("/one", "one"), ("/two", "two")}


async def test_fetch_of_keys_is_logged_as_nobodys(lines: list[EventDict]) -> None:
    """Though the first request that needs one sets it off."""
    async with key_server() as server, fetching(server, Clock()) as jwks:
        server.answer = status_500

        async def ask(_: web.Request) -> web.Response:
            await jwks.refresh()
            return web.Response()

        async with edge(more=lambda app: app.router.add_get("/ask", ask)) as served:
            await served.ask("/ask")
    [line] = lines
    assert line["event"] == "jwks-failed"
    assert "request_id" not in line
