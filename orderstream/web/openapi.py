"""`GET /openapi.json` and `GET /docs`: what the service takes and answers, put together once, at start.

Schemas come from the types that answers are encoded with or held against (core.orders), problems from the classes that
raise them, so neither can drift; the rest is the table in `operations`.
"""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files
from typing import Any

import msgspec
from aiohttp import web

from orderstream.core.conditional import ANY, entity_tags
from orderstream.core.orders import EVENT_KINDS, Cursor, EventKind
from orderstream.errors import RequestError, Unavailable
from orderstream.web import docs
from orderstream.web.operations import (
    ALWAYS_HEADERS,
    HEADERS,
    OPERATIONS,
    OPTIONAL_HEADERS,
    PARAMETERS,
    PROBLEM_HEADERS,
    TAGS,
    Answer,
    Json,
    Operation,
)
from orderstream.web.problems import OF_STATUS, Problem, type_of

_ABOUT = """\
Streams each user's order status changes and executions. The user is the JWT's `sub`, and sees only their own orders.

Take a snapshot, keep its cursor, and follow from there: over the stream, or by polls where none can be held. The \
cursor is good on every process and over both. Ignore fields, statuses and events that you do not know.

Every error is a problem (RFC 9457): branch on its `type`. OPTIONS is taken for the preflights of origins that the \
operator allows; where it is none, or refused, the answer is a problem too."""
_EVENT_STREAM = """\
One frame of many: the body goes on until the connection ends. `retry` comes first. Only events with an `id` move \
the cursor."""
# A day, in which an old copy does no harm: nothing is taken away within a version of the paths.
_CACHE_CONTROL = "max-age=86400"


def openapi(*, jwt_cookie: str) -> Json:
    """The description; `jwt_cookie` is the name of the login's cookie."""
    examples = msgspec.json.decode(files("orderstream.web").joinpath("examples.json").read_bytes())
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, examples)
    return {
        "openapi": "3.1.0",
        "info": {"title": "orderstream", "version": "1", "description": _ABOUT},
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "parameters": PARAMETERS,
            "headers": {name: {**header, "required": name not in OPTIONAL_HEADERS} for name, header in HEADERS.items()},
            "responses": {
                f"Problem{status}": _problem_response(status, kinds, examples)
                for status, kinds in problem_kinds().items()
            },
            "securitySchemes": _security_schemes(jwt_cookie),
        },
    }


def problem_kinds() -> dict[int, dict[str, str]]:
    """Status -> kind -> what it means, of all problems that there are."""
    found = [(status, kind, detail) for status, (kind, detail) in OF_STATUS.items()]
    found += [(error.status, error.problem, _first_sentence(error)) for error in _kinds_of(RequestError)]
    found += [(error.status, error.problem, _first_sentence(error)) for error in _kinds_of(Unavailable)]
    found += [
        (403, "preflight-refused", "The origin may not ask for this; see the settings of the service."),
        (500, "internal-error", "What should not happen. The log knows more, under the `request_id`."),
    ]
    kinds: dict[int, dict[str, str]] = {}
    for status, kind, meaning in found:
        kinds.setdefault(status, {})[kind] = meaning
    return dict(sorted(kinds.items()))


def _kinds_of(error: type[Any]) -> Iterator[type[Any]]:
    # One that says no `problem` of its own is told as its base.
    if "problem" in vars(error):
        yield error
    for kind in error.__subclasses__():
        yield from _kinds_of(kind)


def _first_sentence(error: type[Any]) -> str:
    return " ".join((error.__doc__ or "").split()).partition(". ")[0].removesuffix(".") + "."


def _schemas() -> Json:
    kinds = [kind for operation in OPERATIONS for answer in operation.answers.values() for kind in _bodies(answer)]
    taken = [operation.body for operation in OPERATIONS if operation.body is not None]
    _, schemas = msgspec.json.schema_components(
        [Problem, *taken, *kinds, *(kind.data for kind in EVENT_KINDS)], ref_template="#/components/schemas/{name}"
    )
    # An alias, which has no name of its own for msgspec to use.
    return {**schemas, "Cursor": msgspec.json.schema(Cursor)}


def _bodies(answer: Answer) -> tuple[type[msgspec.Struct], ...]:
    return () if isinstance(answer.body, str) else answer.body


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _operation(operation: Operation, examples: Json) -> Json:
    answers = {
        str(status): _answer(answer, examples.get(f"{operation.name} {status}", {}))
        for status, answer in operation.answers.items()
    }
    return {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "security": [{scheme: []} for scheme in operation.security],
        "parameters": [_ref("parameters", name) for name in operation.parameters],
        **_request_body(operation, examples),
        "responses": answers | {str(status): _ref("responses", f"Problem{status}") for status in operation.problems},
    }


def _request_body(operation: Operation, examples: Json) -> Json:
    if operation.body is None:
        return {}
    shown = _shown(examples.get(f"{operation.name} request", {}))
    schema = {"schema": _ref("schemas", operation.body.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": schema | shown}}}


def _shown(examples: Json) -> Json:
    return {"examples": {name: {"value": value} for name, value in examples.items()}} if examples else {}


def _answer(answer: Answer, examples: Json) -> Json:
    described: Json = {
        "description": answer.description,
        "headers": {name: _ref("headers", name) for name in (*answer.headers, *ALWAYS_HEADERS)},
    }
    if answer.body:
        media = answer.body if isinstance(answer.body, str) else "application/json"
        described["content"] = {media: {"schema": _schema(answer)} | _shown(examples)}
    return described


def _schema(answer: Answer) -> Json:
    if answer.body == "text/event-stream":
        return {"description": _EVENT_STREAM, "oneOf": [_event(kind) for kind in EVENT_KINDS]}
    if isinstance(answer.body, str):
        return {"type": "object"} if answer.body == "application/json" else {"type": "string"}
    refs = [_ref("schemas", kind.__name__) for kind in answer.body]
    return refs[0] if len(refs) == 1 else {"oneOf": refs}


def _event(kind: EventKind) -> Json:
    # OpenAPI 3.1 has no words for a sequence; 3.2 says the same of each of its items, in the same terms.
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": _ref("schemas", kind.data.__name__),
    }
    always: Json = {"event": {"const": kind.name}, "data": data}
    with_id = {"id": _ref("schemas", "Cursor")} if kind.has_id else {}
    return {
        "title": kind.name,
        "type": "object",
        "properties": {**always, **with_id},
        "required": [*always, *with_id],
    }


def _problem_response(status: int, kinds: dict[str, str], examples: Json) -> Json:
    types = {"enum": [type_of(kind) for kind in kinds]}
    shown = _shown({kind: examples[f"problem {kind}"] for kind in kinds if f"problem {kind}" in examples})
    content: Json = {
        "schema": {
            "allOf": [_ref("schemas", "Problem")],
            "properties": {"type": types, "status": {"const": status}},
        }
    }
    headers = ("Cache-Control", "Vary", *PROBLEM_HEADERS.get(status, ()), *ALWAYS_HEADERS)
    return {
        "description": "\n\n".join(f"`{kind}`: {meaning}" for kind, meaning in kinds.items()),
        "headers": {name: _ref("headers", name) for name in headers},
        "content": {"application/problem+json": content | shown},
    }


def _security_schemes(jwt_cookie: str) -> Json:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "With `sub` and `exp`. Counts before the others.",
        },
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": jwt_cookie,
            "description": "The same JWT, as the login service set it. Not taken from pages of other sites.",
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "From `POST /v1/tickets`; opens one stream, once, within 30 s.",
        },
    }


def add_description(app: web.Application, *, jwt_cookie: str) -> None:
    """Adds both resources."""
    described = openapi(jwt_cookie=jwt_cookie)
    page = docs.page(described)
    style = base64.b64encode(hashlib.sha256(docs.STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    app.router.add_get("/openapi.json", _serving(msgspec.json.encode(described), "application/json"), allow_head=False)
    app.router.add_get(
        "/docs", _serving(page.encode(), "text/html", {"Content-Security-Policy": policy}), allow_head=False
    )


def _serving(
    body: bytes, media: str, more: dict[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    tag = hashlib.sha256(body).hexdigest()[:16]
    headers = {"ETag": f'"{tag}"', "Cache-Control": _CACHE_CONTROL, **(more or {})}
    charset = "utf-8" if media.startswith("text/") else None

    async def serve(request: web.Request) -> web.Response:
        tags = entity_tags(", ".join(request.headers.getall("If-None-Match", [])))
        if tag in tags or ANY in tags:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=media, charset=charset, headers=headers)

    return serve
