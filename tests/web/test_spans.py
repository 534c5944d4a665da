"""When a request's span begins and ends, whatever becomes of the request."""

from typing import Any

import pytest
from aiohttp import web

from orderstream.core.traceparent import Traceparent
from orderstream.web.spans import ended, spanning
from tests.waiting import eventually
from tests.web.edge import edge, request
from tests.web.test_problems import with_broken

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Tracer:
    """Remembers the names of spans that began, and with what those ended that did."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: list[int | None] = []

    def request(self, caller: Traceparent, method: str, route: str, request_id: str) -> "Tracer":
        self.begun.append(f"{method} {route}")
        return self

    def end(self, status: int | None) -> None:
        self.ends.append(status)

    def __call__(self, app: web.Application) -> None:
        with_broken(app)
        app.middlewares.insert(0, spanning(self))
        app.on_response_prepare.append(ended)


@pytest.fixture
def tracer() -> Tracer:
    return Tracer()


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/v1/orders?limit=1", "/v1/orders", 200),
        ("/v1/orders/o1", "/v1/orders/{order_id}", 404),
        ("/v1/orders?limit=x", "/v1/orders", 400),
        ("/broken", "/broken", 500),
        ("/nothing/of/mine", "none", 404),
    ],
)
async def test_request_of_a_traced_caller_is_a_span(tracer: Tracer, path: str, route: str, status: int) -> None:
    """Under the pattern of its resource, which there are few of; with the status that was answered."""
    async with edge(more=tracer) as served:
        await served.ask(path, traceparent=TRACEPARENT)
    assert (tracer.begun, tracer.ends) == ([f"GET {route}"], [status])


@pytest.mark.parametrize("headers", [{}, {"traceparent": "malformed"}])
async def test_request_of_nobody_who_traces_is_none(tracer: Tracer, headers: dict[str, Any]) -> None:
    """Nor where it cannot be told whose it is."""
    async with edge(more=tracer) as served:
        await served.ask("/v1/orders", **headers)
    assert tracer.begun == []


async def test_span_of_a_stream_ends_when_the_stream_begins(tracer: Tracer) -> None:
    """Once, whatever comes later."""
    async with edge(more=tracer) as served:
        await served.stream(traceparent=TRACEPARENT)
        assert tracer.ends == [200]
    assert tracer.ends == [200]


async def test_span_of_a_request_whose_client_leaves_ends_without_a_status(tracer: Tracer) -> None:
    """A poll that is held is told of it."""
    async with edge(more=tracer) as served:
        cursor = (await served.ask("/v1/orders/poll")).headers["etag"]
        line = await served.line()
        line.send(request("/v1/orders/poll", If_None_Match=cursor, traceparent=TRACEPARENT))
        await eventually(lambda: list(served.hub.subscribers()))
        await line.close()
        await eventually(lambda: tracer.ends)
    assert tracer.ends == [None]
