"""Requests as spans of their callers' traces, from their arrival to the head of their answer: a stream's is over when
the stream begins. Only where the service traces; requests without a `traceparent` are nobody's to trace."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from orderstream.ports import RequestSpan, RequestTracer
from orderstream.web.request_ids import request_id, traceparent

_SPAN: web.RequestKey[RequestSpan] = web.RequestKey("span", RequestSpan)


def spanning(tracer: RequestTracer) -> Middleware:
    """To be the outermost but for that which names the request; `ended` must be on the application too."""

    @web.middleware
    async def spanned(request: web.Request, handler: Handler) -> web.StreamResponse:
        caller = traceparent(request)
        if caller is not None:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "none"
            request[_SPAN] = tracer.request(caller, request.method, route, request_id(request))
        try:
            return await handler(request)
        except web.HTTPException:
            # Answered as it is.
            raise
        except BaseException:
            _end(request, None)
            raise

    return spanned


async def ended(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`."""
    _end(request, response.status)


def is_traced(request: web.Request) -> bool:
    """Whether it has a span that is not over."""
    return _SPAN in request


def _end(request: web.Request, status: int | None) -> None:
    span = request.pop(_SPAN, None)
    if span is not None:
        span.end(status)
