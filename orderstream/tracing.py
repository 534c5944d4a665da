"""OpenTelemetry spans: of the steps of an event that is sampled, and of requests that somebody else traces.

    written to sequenced ─┬─ written to followed   in every process
      (the leader's)      └─ written to sent       for every delivery

All begin when the trigger wrote the event, the one time that every process knows, and end where the step was done: what
lies between two ends is what a step took. The trace and its root are known from the event (`core.sampling`), so that
the processes agree without a word. A stream is never a span: it has no end that anybody waits for.

Spans go by OTLP over HTTP to where the OTEL_EXPORTER_OTLP_* variables say, in the SDK's own thread and from its own
bounded queue, which drops what it cannot hold. Imported only where `traced_events` is not 0: the SDK is an extra.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from orderstream import __version__
from orderstream.core.delivery import Item
from orderstream.core.events import Event, SequencedEvent
from orderstream.core.sampling import EventTrace, is_sampled, trace_of
from orderstream.core.traceparent import Traceparent
from orderstream.ports import Meter

# What is older is sent because a client came back for it: how long it lay is no step of its way.
_REPLAYED_S = 60.0
# How long a stop waits for the last spans to be sent.
_CLOSE_S = 2.0


class _Ids(RandomIdGenerator):
    """Random ones, but for the root of an event's trace."""

    root: EventTrace | None = None

    def generate_trace_id(self) -> int:
        return self.root.trace_id if self.root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.root.root_id if self.root else super().generate_span_id()


class RequestSpan:
    """From the arrival of a request to the head of its answer."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, status: int | None) -> None:
        """`status` of the answer, None where there was none. Called once."""
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if status is None or status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Tracing:
    """`share` (0 to 1) of all events are traced. `clock` is the time on the database's clock, in seconds since 1970."""

    def __init__(
        self,
        share: float,
        *,
        clock: Callable[[], float] = time.time,
        processor: Callable[[], SpanProcessor] = lambda: BatchSpanProcessor(OTLPSpanExporter()),
    ) -> None:
        self._share = share
        self._clock = clock
        self._ids = _Ids()
        ours = Resource({"service.name": "orderstream", "service.version": __version__})
        self._provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor())
        self._tracer = self._provider.get_tracer("orderstream", __version__)

    def beside(self, meter: Meter) -> Meter:
        """One that counts as `meter` does, and traces."""
        return cast(Meter, _TracingMeter(meter, self))

    async def close(self) -> None:
        """Sends what is left, as far as that is quick. No span may follow."""
        # The SDK waits for 30 s, and this process would too, where the collector does not answer.
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, _CLOSE_S)

    def request(self, caller: Traceparent, method: str, route: str, request_id: str) -> RequestSpan:
        """A span of the caller's trace, below its own; `route` is the pattern, without what a client chose."""
        attributes = {"http.request.method": method, "http.route": route, "orderstream.request_id": request_id}
        flags = TraceFlags(caller.flags & TraceFlags.SAMPLED)
        parent = SpanContext(int(caller.trace_id, 16), int(caller.parent_id, 16), is_remote=True, trace_flags=flags)
        name = f"{method} {route}"
        return RequestSpan(
            self._tracer.start_span(name, context=_below(parent), kind=SpanKind.SERVER, attributes=attributes)
        )

    def sequenced(self, batch: Iterable[SequencedEvent]) -> None:
        for event in batch:
            if self._is_traced(event):
                self._ids.root = _trace(event)
                try:
                    self._step("written to sequenced", event, Context(), {})
                finally:
                    self._ids.root = None

    def followed(self, batch: Iterable[SequencedEvent]) -> None:
        for event in batch:
            if self._is_traced(event):
                self._step("written to followed", event, _below_root(event), {})

    def sent(self, transport: str, items: Iterable[Item]) -> None:
        for item in items:
            if isinstance(item, Event) and self._is_traced(item):
                self._step("written to sent", item, _below_root(item), {"orderstream.transport": transport})

    def _is_traced(self, event: Event | SequencedEvent) -> bool:
        written_at = event.written_at
        return is_sampled(written_at, event.seq, self._share) and self._clock() - written_at < _REPLAYED_S

    def _step(self, name: str, event: Event | SequencedEvent, context: Context, attributes: dict[str, str]) -> None:
        # Hosts whose clocks differ by more than a step took must not make a span that ends before it began.
        ended_at = max(self._clock(), event.written_at)
        cursor = {"orderstream.cursor": f"{event.epoch}.{event.seq}", "orderstream.event": event.name}
        span = self._tracer.start_span(
            name, context=context, attributes=cursor | attributes, start_time=_nanoseconds(event.written_at)
        )
        span.end(_nanoseconds(ended_at))


class _TracingMeter:
    """A Meter that counts as another does and traces beside it: who does not trace has no such thing in the way."""

    def __init__(self, meter: Meter, tracing: Tracing) -> None:
        self._meter = meter
        self._tracing = tracing
        # All other methods are the other's own, as if there were nothing between.
        for name in vars(Meter).keys() - vars(_TracingMeter).keys():
            if not name.startswith("_"):
                setattr(self, name, getattr(meter, name))

    def sequenced(self, batch: Sequence[SequencedEvent]) -> None:
        self._meter.sequenced(batch)
        self._tracing.sequenced(batch)

    def followed(self, batch: Sequence[SequencedEvent]) -> None:
        self._meter.followed(batch)
        self._tracing.followed(batch)

    def sent(self, transport: str, items: Sequence[Item], size_bytes: int) -> None:
        self._meter.sent(transport, items, size_bytes)
        self._tracing.sent(transport, items)

    def streamed(self, told: Sequence[tuple[Sequence[Event], int]]) -> None:
        self._meter.streamed(told)
        for events, streams in told:
            for _ in range(streams):
                self._tracing.sent("sse", events)


def _trace(event: Event | SequencedEvent) -> EventTrace:
    body = event.body if isinstance(event, Event) else event.body.encode()
    return trace_of(event.epoch, event.seq, body)


def _below_root(event: Event | SequencedEvent) -> Context:
    trace = _trace(event)
    flags = TraceFlags(TraceFlags.SAMPLED)
    return _below(SpanContext(trace.trace_id, trace.root_id, is_remote=True, trace_flags=flags))


def _below(parent: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _nanoseconds(at: float) -> int:
    return int(at * 1e6) * 1000
