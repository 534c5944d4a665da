"""Answers that are no success, the headers that all answers have, and what pages of other origins may read."""

import pytest
import structlog
from aiohttp import web

from orderstream.web.limits import LimitSettings
from tests.web.edge import ORIGIN, Answer, Edge, edge, request

SECRET_TEXT = "a password in an exception"
STRANGER = "https://evil.example"


async def broken(_: web.Request) -> web.Response:
    raise ValueError(SECRET_TEXT)


async def broken_after_its_head(incoming: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(incoming)
    await response.write(b"begun")
    raise ValueError(SECRET_TEXT)


def with_broken(app: web.Application) -> None:
    app.router.add_get("/broken", broken)
    app.router.add_get("/begun", broken_after_its_head)


async def test_err_3_failure_names_its_request_to_the_client_and_is_explained_in_the_log() -> None:
    """The id, and nothing else; the log has it with the traceback."""
    with structlog.testing.capture_logs() as lines:
        async with edge(more=with_broken) as served:
            answer = await served.ask("/broken")
    assert (answer.status, answer.kind) == (500, "internal-error")
    assert set(answer.problem) == {"type", "title", "status", "detail", "request_id"}
    assert b"password" not in answer.raw
    assert b"ValueError" not in answer.raw
    [line] = [line for line in lines if line["event"] == "request-failed"]
    assert line["request_id"] == answer.problem["request_id"] == answer.headers["x-request-id"]
    assert str(line["exc_info"]) == SECRET_TEXT
    assert line["exc_info"].__traceback__ is not None


async def test_err_3_answer_that_has_begun_is_broken_off() -> None:
    """A second head would be read as its body."""
    with structlog.testing.capture_logs() as lines:
        async with edge(more=with_broken) as served:
            answer = await served.raw(request("/begun"))
    assert answer.raw.count(b"HTTP/1.1") == 1
    assert b"problem" not in answer.raw
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["request-failed"]


@pytest.mark.parametrize("path", ["/metrics", "/health", "/health/live", "/health/ready"])
async def test_what_operators_see_is_not_on_the_public_port(path: str) -> None:
    """For nobody, with a credential or without."""
    async with edge() as served:
        answers = [await served.ask(path), await served.ask(path, None)]
    assert [(answer.status, answer.kind) for answer in answers] == [(404, "not-found")] * 2


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/orders/", "/v1/orders/a/b", "/%00", "/v1/orders%2Fstream/x"])
async def test_err_1_nothing_there_is_404(path: str) -> None:
    """A problem, which does not repeat the path."""
    async with edge() as served:
        answer = await served.ask(path)
    assert (answer.status, answer.kind) == (404, "not-found")
    assert "instance" not in answer.problem


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/o1", "/v1/orders/poll", "/v1/orders/stream"])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
async def test_err_2_other_method_is_405_with_those_there_are(path: str, method: str) -> None:
    """RFC 9110 section 15.5.6 wants Allow."""
    async with edge() as served:
        answer = await served.ask(path, method=method)
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.body == b"") is (method == "HEAD")


ANSWERS = {
    "page": request("/v1/orders", Connection="close"),
    "order that is not there": request("/v1/orders/o1", Connection="close"),
    "poll": request("/v1/orders/poll", Connection="close"),
    "not modified": request("/v1/orders/poll", Connection="close", If_None_Match="*"),
    "no credential": request("/v1/orders", None, Connection="close"),
    "no resource": request("/nothing", Connection="close"),
    "no method": request("/v1/orders", method="PUT", Connection="close"),
    "failure": request("/broken", Connection="close"),
    "unreadable": b"nonsense\r\n\r\n",
    "unexpected": request("/v1/orders", Connection="close", Expect="much"),
    "preflight": request(
        "/v1/orders", None, "OPTIONS", Connection="close", Origin=ORIGIN, Access_Control_Request_Method="GET"
    ),
    "preflight refused": request(
        "/v1/orders", None, "OPTIONS", Connection="close", Origin=STRANGER, Access_Control_Request_Method="GET"
    ),
}


@pytest.mark.parametrize("raw", ANSWERS.values(), ids=list(ANSWERS))
async def test_err_4_every_answer_has_the_headers_of_every_answer(raw: bytes) -> None:
    """No version, no sniffing, no referrer, no embedding, and no document that may do anything."""
    async with edge(more=with_broken) as served:
        answer = await served.raw(raw)
    assert_hardened(answer)


async def test_err_4_stream_has_the_headers_of_every_answer() -> None:
    """Its head is written by another hand."""
    async with edge() as served:
        line = await served.line()
        line.send(request("/v1/orders/stream"))
        assert_hardened(Answer(await line.until(b"\r\n\r\n")))


async def test_err_4_turned_away_stream_has_the_headers_of_every_answer() -> None:
    """And of a stream, so that an EventSource understands it."""
    async with edge(limits=LimitSettings(requests_per_address_per_minute=1)) as served:
        await served.ask("/v1/orders")
        answer = await served.ask("/v1/orders/stream", Origin=ORIGIN)
    assert_hardened(answer)
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def assert_hardened(answer: Answer) -> None:
    expected = {
        "server": "orderstream",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    }
    assert {name: answer.headers.get(name) for name in expected} == expected
    assert "Origin" in answer.headers["vary"]
    assert not [word for word in (b"aiohttp", b"Python", b"<html") if word in answer.raw]


# Other origins


@pytest.mark.parametrize(
    ("path", "user", "status"),
    [
        ("/v1/orders", "u1", 200),
        ("/v1/orders/poll", "u1", 200),
        ("/v1/orders/o1", "u1", 404),
        ("/v1/orders", None, 401),
        ("/v1/orders/stream", None, 401),
        ("/v1/orders?limit=x", "u1", 400),
    ],
)
async def test_cors_4_page_of_an_allowed_origin_may_read_every_answer(path: str, user: str | None, status: int) -> None:
    """Errors too, else a page could not tell a 401 from a broken line."""
    async with edge() as served:
        answer = await served.ask(path, user, Origin=ORIGIN)
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"ETag", "Link", "Preference-Applied", "Retry-After", "X-Request-Id"}
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("settings", [{"requests_per_user_per_minute": 1}, {"requests_per_address_per_minute": 1}])
async def test_cors_4_page_of_an_allowed_origin_may_read_that_it_asks_too_often(settings: dict[str, int]) -> None:
    """With its Retry-After."""
    async with edge(limits=LimitSettings(**settings)) as served:
        await served.ask("/v1/orders")
        answer = await served.ask("/v1/orders", Origin=ORIGIN)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (429, ORIGIN)


async def test_cors_4_page_of_an_allowed_origin_may_read_its_stream() -> None:
    """`new EventSource(url, {withCredentials: true})`."""
    async with edge() as served:
        line = await served.line()
        line.send(request("/v1/orders/stream", Origin=ORIGIN))
        answer = Answer(await line.until(b"\r\n\r\n"))
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize(
    "origin",
    [STRANGER, "null", ORIGIN.upper(), f"{ORIGIN}:443", f"{ORIGIN}.evil.example", "http://app.example", f"{ORIGIN}/"],
)
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/stream"])
async def test_cors_3_other_origin_gets_no_cors_header(origin: str, path: str) -> None:
    """Origins are compared as they are, whole."""
    async with edge() as served:
        line = await served.line()
        line.send(request(path, Origin=origin))
        answer = Answer(await line.until(b"\r\n\r\n"))
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "header",
    [
        *("Authorization", "Content-Type", "If-None-Match", "Last-Event-ID", "Prefer", "X-Request-Id", "traceparent"),
        "authorization,prefer",
    ],
)
async def test_cors_1_preflight_allows_the_headers_of_the_protocol(header: str) -> None:
    """In any case, and several."""
    async with edge() as served:
        answer = await preflight(served, ORIGIN, "GET", header)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-methods"] == "GET"
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert set(allowed.split(",")) == set(header.lower().split(","))


@pytest.mark.parametrize(
    ("origin", "method", "header"),
    [(STRANGER, "GET", "Prefer"), (ORIGIN, "PUT", "Prefer"), (ORIGIN, "GET", "X-Evil"), ("null", "GET", "Prefer")],
)
async def test_cors_5_preflight_refuses_everything_else(origin: str, method: str, header: str) -> None:
    """As a problem that repeats nothing of it."""
    async with edge() as served:
        answer = await preflight(served, origin, method, header)
    assert (answer.status, answer.kind) == (403, "preflight-refused")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert b"evil" not in answer.raw.lower()


async def test_cors_1_preflight_covers_the_methods_of_each_resource() -> None:
    """A page may ask for a ticket."""
    async with edge() as served:
        answer = await preflight(served, ORIGIN, "POST", "Authorization", path="/v1/tickets")
    assert (answer.status, answer.headers["access-control-allow-methods"]) == (200, "POST")


async def test_err_2_options_that_is_no_preflight_is_405() -> None:
    """Whether other origins are allowed or not."""
    async with edge() as served:
        answer = await served.ask("/v1/orders", method="OPTIONS")
    assert (answer.status, answer.kind, answer.headers["allow"]) == (405, "method-not-allowed", "GET")


async def preflight(served: Edge, origin: str, method: str, header: str, path: str = "/v1/orders") -> Answer:
    asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": header}
    return await served.raw(request(path, None, "OPTIONS", Connection="close", Origin=origin, **asked))
