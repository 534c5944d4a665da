"""The name of a request: on every line that is logged for it, and on its answer, so that one is found by the other.

It is the caller's `X-Request-Id`, if that is well formed, so that a request has one name from the proxy to us. A line
has the caller's `trace_id` too, where it sent a `traceparent`.
"""

import re
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.contextvars import bind_contextvars

from orderstream.core.traceparent import Traceparent, parse_traceparent

HEADER = "X-Request-Id"

# Room for a UUID, a ULID or what nginx makes, and nothing that a log line, a shell or a page could take amiss.
_WELL_FORMED = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_REQUEST_ID: web.RequestKey[str] = web.RequestKey("request-id", str)


def request_id(request: web.BaseRequest) -> str:
    """The caller's, else one that is made; the same whenever it is asked for."""
    known = request.get(_REQUEST_ID)
    if known is None:
        sent = _only(request, HEADER)
        known = request[_REQUEST_ID] = sent if _WELL_FORMED.fullmatch(sent) else made_id()
    return known


def made_id() -> str:
    """For a request whose caller named none."""
    # A stream keeps it while it is open, so it is short: one among 1,000 million others has a double once in 70
    # million times.
    return secrets.token_hex(7)


def is_named(request: web.BaseRequest) -> bool:
    """Whether its caller said what it is part of, so that the next one will be named otherwise."""
    return HEADER in request.headers or "traceparent" in request.headers


def traceparent(request: web.BaseRequest) -> Traceparent | None:
    """Of the caller, if it sent one that can be read."""
    return parse_traceparent(_only(request, "traceparent"))


def trace_id(request: web.BaseRequest) -> str | None:
    """Of the trace that the caller says it is part of."""
    caller = traceparent(request)
    return None if caller is None else caller.trace_id


@web.middleware
async def named(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Binds both for all that is logged on behalf of the request. aiohttp runs each in a task, and so in a context, of
    its own: nothing is to be unbound."""
    bind_contextvars(**log_fields(request_id(request), trace_id(request)))
    return await handler(request)


def log_fields(request_id: str, trace_id: str | None) -> dict[str, str]:
    """What every line that is logged for a request has."""
    return {"request_id": request_id, **({} if trace_id is None else {"trace_id": trace_id})}


def _only(request: web.BaseRequest, header: str) -> str:
    # Of two nobody knows which one is meant. aiohttp's request for what it could not read has a plain dict, empty.
    sent = request.headers.getall(header, []) if request.headers else []
    return sent[0] if len(sent) == 1 else ""
