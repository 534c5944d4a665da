"""What each resource takes and answers, in the terms of OpenAPI: the part of the description that types cannot tell."""

from typing import Any

import msgspec

from orderstream.core import orders as documents
from orderstream.web.acks import Ack
from orderstream.web.pages import MAX_LIMIT
from orderstream.web.sessions import SessionList
from orderstream.web.tickets import Ticket

Json = dict[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """One that is no problem. `body` is its type, several of which it is one, or a media type without one."""

    description: str
    body: tuple[type[msgspec.Struct], ...] | str = ()
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True):
    """A method of a resource. `problems` are statuses, of those that any resource may answer the ones it may not."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str
    answers: dict[int, Answer]
    parameters: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    security: tuple[str, ...] = ("bearer", "cookie")
    problems: tuple[int, ...] = (400, 401, 403, 405, 413, 414, 417, 429, 431, 500, 503)


TAGS = {
    "Orders": "As they are now.",
    "Following": "Each change as it happens, over one stream or many polls. One cursor serves both.",
    "Devices": "The user's logins that have a stream open.",
    "Description": "What is described here.",
    "Client": "In JavaScript, for pages; one module that needs no other.",
}

_USER = ("Cache-Control", "Vary")
_ANY_ORIGIN = "Access-Control-Allow-Origin"


def _file(path: str, name: str, tag: str, summary: str, media: str, *headers: str) -> Operation:
    """The same for everybody, until the service is another one."""
    kept = ("ETag", "Cache-Control", *headers)
    answers = {200: Answer("The whole.", media, kept), 304: Answer("It is what the tag names.", headers=kept)}
    problems = (400, 405, 413, 414, 417, 429, 431, 500)
    return Operation("get", path, name, tag, summary, "For everybody.", answers, ("tag",), None, (), problems)


OPERATIONS = (
    Operation(
        "get",
        "/v1/orders",
        "listOrders",
        "Orders",
        "The user's orders, newest first",
        "In pages. Each order comes once, though new ones come meanwhile.",
        {200: Answer("A page.", (documents.OrderList,), ("Link", *_USER))},
        ("status", "symbol", "limit", "page"),
    ),
    Operation(
        "get",
        "/v1/orders/{order_id}",
        "readOrder",
        "Orders",
        "One order with its executions",
        "And what they come to, and the names that it had. Another user's order is answered as one that nobody has.",
        {200: Answer("The order.", (documents.OrderWithExecutions,), _USER)},
        ("order_id",),
        problems=(400, 401, 403, 404, 405, 413, 414, 417, 429, 431, 500, 503),
    ),
    Operation(
        "get",
        "/v1/orders/{order_id}/events",
        "readOrderEvents",
        "Orders",
        "What happened to one order",
        "Its events as they were told to this user, as far as they are kept, oldest first, in pages. Another user's "
        "order is answered as one that nobody has.",
        {200: Answer("A page.", (documents.OrderHistory,), ("Link", *_USER))},
        ("order_id", "limit", "page"),
        problems=(400, 401, 403, 404, 405, 413, 414, 417, 429, 431, 500, 503),
    ),
    Operation(
        "get",
        "/v1/executions",
        "listExecutions",
        "Orders",
        "The executions of all orders",
        "For statements: newest first, in pages. A bust or a correction is one of its own, told by its own time.",
        {200: Answer("A page.", (documents.ExecutionList,), ("Link", *_USER))},
        ("since", "until", "symbol", "limit", "page"),
    ),
    Operation(
        "get",
        "/v1/orders/stream",
        "streamOrders",
        "Following",
        "Server-Sent Events",
        "Begins after the cursor, or with a snapshot where there is none, and goes on until the credential ends. What "
        "may succeed later is said in the stream, as `goaway`, since an EventSource gives up at any status but 200.",
        {
            200: Answer("The stream.", "text/event-stream", ("X-Accel-Buffering", *_USER)),
            204: Answer("This session was logged out: never come back.", headers=("Cache-Control",)),
        },
        ("last-event-id", "cursor"),
        security=("bearer", "ticket", "cookie"),
        problems=(400, 401, 403, 405, 413, 414, 417, 431, 500),
    ),
    Operation(
        "get",
        "/v1/orders/poll",
        "pollOrders",
        "Following",
        "Long-poll",
        "Without a tag: a snapshot, at once. With one: what came after it, held until there is something.",
        {
            200: Answer(
                "A snapshot, or events.",
                (documents.PolledSnapshot, documents.PolledEvents),
                ("ETag", "Preference-Applied", *_USER),
            ),
            304: Answer("Nothing came in the time.", headers=("ETag", "Preference-Applied", *_USER)),
        },
        ("tag", "prefer"),
    ),
    Operation(
        "post",
        "/v1/tickets",
        "issueTicket",
        "Following",
        "A ticket that opens one stream",
        "For an EventSource, which carries neither header nor, to another origin, a cookie. No body is read.",
        {201: Answer("The ticket.", (Ticket,), _USER)},
    ),
    Operation(
        "post",
        "/v1/acks",
        "acknowledge",
        "Following",
        "Say how far was applied",
        "For whoever runs the service, who sees how long events take until clients have them. Optional, and seldom: "
        "once in ten seconds, of an event that came by itself a moment ago. A cursor that this process does not hold, "
        "or that this session was not sent or acknowledged before, is not counted.",
        {204: Answer("It was read.", headers=_USER)},
        body=Ack,
        problems=(400, 401, 403, 405, 413, 414, 415, 417, 429, 431, 500, 503),
    ),
    Operation(
        "get",
        "/v1/sessions",
        "listSessions",
        "Devices",
        "The user's devices",
        "On all processes, the login that opened a stream last first.",
        {200: Answer("The sessions.", (SessionList,), _USER)},
    ),
    Operation(
        "delete",
        "/v1/sessions/{session_id}",
        "revokeSession",
        "Devices",
        "Log one device out",
        "Its streams end within a second, and its JWT is refused from now on.",
        {204: Answer("There is no such session any more, or never was.", headers=_USER)},
        ("session_id",),
        problems=(400, 401, 403, 404, 405, 413, 414, 417, 429, 431, 500, 503),
    ),
    _file("/openapi.json", "describe", "Description", "This description", "application/json"),
    _file("/docs", "readDescription", "Description", "It, to read", "text/html", "Content-Security-Policy"),
    _file("/orderstream.js", "loadClient", "Client", "The client", "text/javascript", _ANY_ORIGIN),
    _file("/orderstream.d.ts", "loadClientTypes", "Client", "Its types", "application/typescript", _ANY_ORIGIN),
)


def _parameter(name: str, where: str, description: str, **schema: Any) -> Json:
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "description": description, **required, "schema": {"type": "string"} | schema}


_ID = {"minLength": 1, "maxLength": 255}

# Component -> Parameter Object.
PARAMETERS: dict[str, Json] = {
    "status": _parameter("status", "query", "Which.", enum=["open", "closed", "all"], default="all"),
    "symbol": _parameter("symbol", "query", "Those of one symbol.", **_ID),
    "limit": _parameter("limit", "query", "How many.", type="integer", minimum=1, maximum=MAX_LIMIT, default=50),
    "page": _parameter("page", "query", "The `next` of the page before."),
    "since": _parameter("since", "query", "Those from this time on (RFC 3339).", format="date-time"),
    "until": _parameter("until", "query", "Those before this time (RFC 3339).", format="date-time"),
    "order_id": _parameter("order_id", "path", "An order's `id`.", **_ID),
    "session_id": _parameter("session_id", "path", "A session's `id`.", **_ID),
    "cursor": _parameter("cursor", "query", "A cursor from wherever it was kept; what is none is told as `reset`."),
    "last-event-id": _parameter("Last-Event-ID", "header", "The last `id` that came; counts before `cursor`."),
    "tag": _parameter("If-None-Match", "header", "The `ETag` of the answer before; a list of them, or `*`."),
    "prefer": _parameter("Prefer", "header", "`wait=N`: hold the answer for N seconds, 55 at most by default."),
}


def _text(description: str, **schema: Any) -> Json:
    return {"description": description, "schema": {"type": "string"} | schema}


# Name -> Header Object.
HEADERS: dict[str, Json] = {
    "Access-Control-Allow-Origin": _text("`*`: pages of any origin may use it."),
    "Allow": _text("The methods that there are."),
    "Cache-Control": _text("Answers about a user are kept by nobody."),
    "Content-Security-Policy": _text("Nothing from elsewhere, and no script."),
    "ETag": _text("Send it back as `If-None-Match`."),
    "Link": _text('`<?…>; rel="next"`, relative to the address that was asked for; where a page follows.'),
    "Preference-Applied": _text("`wait=N`, where `Prefer` said so.", pattern="^wait=[0-9]+$"),
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
    "Vary": _text("What the answer depends on."),
    "WWW-Authenticate": _text("`Bearer`, with an `error` where a credential was sent (RFC 6750).", pattern="^Bearer"),
    "X-Accel-Buffering": _text("`no`: a proxy must pass on what it has."),
    "X-Request-Id": _text("The request's name in our logs: its own `X-Request-Id`, or one that was made."),
}
# Those of every answer, problems too.
ALWAYS_HEADERS = ("X-Request-Id",)
# Those that an answer may do without.
OPTIONAL_HEADERS = frozenset({"Link", "Preference-Applied"})
# Status -> headers of the problem.
PROBLEM_HEADERS = {401: ("WWW-Authenticate",), 405: ("Allow",), 429: ("Retry-After",), 503: ("Retry-After",)}
