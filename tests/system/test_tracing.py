"""Spans of real events, from a row that was written to the socket of a stream."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orderstream.app import Service
from orderstream.settings import Settings
from orderstream.tracing import Tracing
from tests.services import RunningService, ServiceProcess
from tests.system.clients import ENDLESS, Stream, open_stream, poll
from tests.system.tables import write_orders
from tests.waiting import eventually

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
STEPS = {"written to sequenced", "written to followed", "written to sent"}


class Traced(RunningService):
    """A service in this process, and what it exports."""

    def __init__(self) -> None:
        super().__init__()
        self.exporter = InMemorySpanExporter()

    def spans(self, name: str = "written to") -> list[ReadableSpan]:
        """Those whose names begin so, in the order of their ends."""
        return [span for span in self.exporter.get_finished_spans() if span.name.startswith(name)]


@pytest.fixture
async def served(database: str) -> AsyncIterator[Traced]:
    running = Traced()
    tracing = Tracing(1.0, processor=lambda: SimpleSpanProcessor(running.exporter))
    running.service = Service(Settings(**running.settings(database)), tracing=tracing)
    try:
        await running.service.start()
        yield running
    finally:
        await running.service.stop()
        await tracing.close()


@pytest.mark.system
async def test_event_leaves_a_span_of_each_step_and_none_of_its_stream(served: Traced, database: str) -> None:
    """In the order of its way, one sending for each who was sent it."""
    async with aiohttp.ClientSession() as session:
        async with open_stream(session, served, "ann") as stream:
            await stream.until("live")
            polled = await poll(session, served, "ann")
            waiting = asyncio.create_task(poll(session, served, "ann", polled.cursor, wait_s=30))
            await eventually(lambda: sum(1 for _ in served.service.hub.subscribers()) == 2)
            write_orders(database, "ann", 1)
            cursor = (await stream.until("order"))[-1].id
            assert (await waiting).cursor == cursor
            spans = await eventually(lambda: served.spans()[3:] and served.spans())
        [root, followed, *sent] = spans
    assert {span.attributes and span.attributes["orderstream.cursor"] for span in spans} == {cursor}
    assert [root.name, followed.name] == ["written to sequenced", "written to followed"]
    assert {span.attributes and span.attributes["orderstream.transport"] for span in sent} == {"sse", "poll"}
    assert {span.parent and span.parent.span_id for span in spans[1:]} == {root.context.span_id}
    assert {span.context.trace_id for span in spans} == {root.context.trace_id}
    assert served.spans("GET") == []


@pytest.mark.system
async def test_stream_of_a_traced_caller_is_a_span_until_it_begins(served: Traced) -> None:
    """Below the caller's own, while the stream goes on."""
    headers = served.bearer("ann") | {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01", "X-Request-Id": "mine"}
    url = f"{served.url}/v1/orders/stream"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, timeout=ENDLESS) as response:
        await Stream(response).until("live")
        [span] = served.spans("GET /v1/orders/stream")
    assert span.parent is not None
    assert f"{span.context.trace_id:032x} {span.parent.span_id:016x}" == f"{CALLER} 00f067aa0ba902b7"
    assert span.attributes is not None
    assert (span.attributes["http.response.status_code"], span.attributes["orderstream.request_id"]) == (200, "mine")


@pytest.mark.system
async def test_program_sends_its_spans_to_a_collector(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By OTLP over HTTP, to where the environment says; the last ones when it stops."""
    got: dict[str, str] = {}

    async def take(request: web.Request) -> web.Response:
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            [service] = [each.value.string_value for each in resource.resource.attributes if each.key == "service.name"]
            got.update({span.name: service for scope in resource.scope_spans for span in scope.spans})
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    async with TestServer(app, host="127.0.0.1") as collector, aiohttp.ClientSession() as session:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", str(collector.make_url("")))
        monkeypatch.setenv("OTEL_SERVICE_NAME", "orders-in-oslo")
        async with ServiceProcess(database, traced_events=1) as served:
            await served.ready()
            async with open_stream(session, served, "ann") as stream:
                await stream.until("live")
                write_orders(database, "ann", 1)
                await stream.until("order")
            served.stop()
            assert await served.wait() == 0
    assert got == dict.fromkeys(STEPS, "orders-in-oslo")
