"""Spans, by what an exporter gets: of the steps of events, and of requests that somebody traces."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Live
from orderstream.core.events import SequencedEvent, encoded
from orderstream.core.traceparent import Traceparent
from orderstream.metrics import PrometheusMeter
from orderstream.ports import Meter
from orderstream.tracing import Tracing

WRITTEN_AT = 1_790_000_000.25
CALLER = Traceparent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1)

Spans = Callable[[], Sequence[ReadableSpan]]


def row(seq: int = 1, written_at: float = WRITTEN_AT) -> SequencedEvent:
    return SequencedEvent(100 + seq, "ann", "0a0a0a0a", seq, "order", f'{{"order":{seq}}}', written_at)


def traced(share: float = 1.0, now: float = WRITTEN_AT + 0.004) -> tuple[Tracing, Spans]:
    """As of one process; and what it exported."""
    exporter = InMemorySpanExporter()
    return Tracing(
        share, clock=lambda: now, processor=lambda: SimpleSpanProcessor(exporter)
    ), exporter.get_finished_spans


def test_steps_of_an_event_in_several_processes_are_one_trace_below_the_leaders_span() -> None:
    """Though they tell each other nothing of it."""
    (leader, of_leader), (other, of_other) = traced(), traced()
    leader.sequenced([row()])
    other.followed([row()])
    other.sent("sse", [encoded(row())])
    [root] = of_leader()
    below = of_other()
    assert (root.name, root.parent) == ("written to sequenced", None)
    assert [span.name for span in below] == ["written to followed", "written to sent"]
    assert {span.context.trace_id for span in below} == {root.context.trace_id}
    assert {span.parent and span.parent.span_id for span in below} == {root.context.span_id}


def test_span_lasts_from_the_write_to_the_step() -> None:
    """On the clock that is given, and names the event by its cursor; nobody's name is in it."""
    tracing, spans = traced()
    tracing.sent("poll", [encoded(row())])
    [span] = spans()
    assert (span.start_time, span.end_time) == (1_790_000_000_250_000_000, 1_790_000_000_254_000_000)
    assert dict(span.attributes or {}) == {
        "orderstream.cursor": "0a0a0a0a.1",
        "orderstream.event": "order",
        "orderstream.transport": "poll",
    }


def test_span_of_hosts_whose_clocks_differ_does_not_end_before_it_begins() -> None:
    """Viewers refuse those."""
    tracing, spans = traced(now=WRITTEN_AT - 3)
    tracing.followed([row()])
    assert [span.end_time for span in spans()] == [span.start_time for span in spans()]


def test_each_event_is_a_trace_of_its_own() -> None:
    """A batch is none."""
    tracing, spans = traced()
    tracing.sequenced([row(1), row(2)])
    assert len({span.context.trace_id for span in spans()}) == len({span.context.span_id for span in spans()}) == 2


def test_all_steps_of_the_same_share_of_events_are_traced() -> None:
    """So that no trace is in pieces."""
    tracing, spans = traced(0.1)
    rows = [row(seq, WRITTEN_AT + seq / 1e6) for seq in range(500)]
    tracing.sequenced(rows)
    tracing.followed(rows)
    tracing.sent("sse", [encoded(each) for each in rows])
    by_step = [
        {s.context.trace_id for s in spans() if s.name == f"written to {step}"} for step in ("sequenced", "sent")
    ]
    assert 30 <= len(by_step[0]) <= 70
    assert by_step[0] == by_step[1]
    assert len(spans()) == 3 * len(by_step[0])


@pytest.mark.parametrize("items", [[Live(Cursor("0a0a0a0a", 1))], [encoded(row(written_at=WRITTEN_AT - 61))]])
def test_what_is_no_event_on_its_way_has_no_span(items: list[Any]) -> None:
    """Such as one that is sent again to a client that was away."""
    tracing, spans = traced()
    tracing.sent("sse", items)
    assert spans() == ()


def test_request_is_below_its_callers_span() -> None:
    """Under its route."""
    tracing, spans = traced()
    tracing.request(CALLER, "GET", "/v1/orders/{order_id}", "mine").end(200)
    [span] = spans()
    assert span.name == "GET /v1/orders/{order_id}"
    assert span.parent is not None
    assert f"{span.context.trace_id:032x} {span.parent.span_id:016x}" == f"{CALLER.trace_id} {CALLER.parent_id}"


@pytest.mark.parametrize(("status", "good"), [(200, True), (404, True), (500, False), (None, False)])
def test_request_without_a_good_answer_is_an_error(status: int | None, good: bool) -> None:
    """Ours, not the client's."""
    tracing, spans = traced()
    tracing.request(CALLER, "GET", "/v1/orders", "mine").end(status)
    assert spans()[0].status.is_ok is good


def test_request_that_its_caller_did_not_sample_has_no_span() -> None:
    """Whoever began the trace has chosen."""
    tracing, spans = traced()
    tracing.request(CALLER._replace(flags=0), "GET", "/v1/orders", "mine").end(200)
    assert spans() == ()


@pytest.mark.parametrize("name", [name for name in vars(Meter) if not name.startswith("_")])
def test_meter_beside_which_is_traced_counts_everything(name: str) -> None:
    """Of every kind, also of those that are no step of an event."""

    class Heard(PrometheusMeter):
        def __getattribute__(self, wanted: str) -> Any:
            if wanted == name:
                return lambda *arguments: heard.append(arguments)
            return super().__getattribute__(wanted)

    heard: list[tuple[Any, ...]] = []
    arguments = {"sent": ("sse", [], 1), "streamed": ([],), "sequenced": ([],), "followed": ([],)}.get(name, ("a", "b"))
    getattr(traced()[0].beside(Heard()), name)(*arguments)
    assert heard == [arguments]


async def test_stop_does_not_wait_for_a_collector_that_never_answers() -> None:
    """The last spans are worth two seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        tracing = Tracing(1.0, processor=lambda: BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=3)))
        tracing.followed([row(written_at=time.time())])
        began = time.monotonic()
        await tracing.close()
    assert 1.5 < time.monotonic() - began < 8.0


_WITHOUT_THE_EXTRA = """
import asyncio, sys
sys.modules["opentelemetry"] = None
from orderstream import app
from orderstream.errors import SettingsError
from orderstream.settings import Settings

settings = Settings(database_url="postgresql://nobody@127.0.0.1:1/none", jwt_secret="x" * 32, traced_events=0.5)
try:
    asyncio.run(app.serve(settings))
except SettingsError as error:
    print(error)
"""


def test_service_without_the_extra_says_what_to_install() -> None:
    """Before it does anything."""
    child = subprocess.run([sys.executable, "-c", _WITHOUT_THE_EXTRA], capture_output=True, text=True, check=True)
    assert child.stdout == "traced_events needs OpenTelemetry: pip install 'orderstream[otel]'\n"


def test_nothing_of_it_is_imported_where_nothing_is_traced() -> None:
    """It is an extra, and slow to import."""
    code = "import sys, orderstream.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True)
