"""httplint has nothing to complain about in the answers of any resource, but for what is explained here by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import aiohttp
import pytest
from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels
from httplint.types import NotesProtocol

from orderstream.web import jwt
from orderstream.web.limits import LimitSettings
from tests.postgres.feed import insert_order, opened
from tests.services import SECRET, running_service
from tests.system.clients import until_ready
from tests.web.edge import edge

ORIGIN = "https://trade.example"

# Note -> why it stands.
EXPLAINED = {
    "CC_CONFLICTING": "`private` and `no-transform` say more than `no-store` to a cache that heeds only one of them",
    "CREATED_WITHOUT_LOCATION": "a ticket is at no address: it is in the answer, and shown once",
    "STATUS_BAD_REQUEST": "the request was meant to be bad",
    "STATUS_URI_TOO_LONG": "its URL was meant to be too long",
}


class Asked(NamedTuple):
    """A request, and the status that it is answered with. `{order_id}` is an order of ann's."""

    status: int
    path: str
    method: str = "GET"
    headers: Mapping[str, str] = MappingProxyType({})
    anonymous: bool = False
    body: bytes | None = None
    admin: bool = False


PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "Prefer"}
JSON = {"Content-Type": "application/json"}

ANSWERS = {
    "list": Asked(200, "/v1/orders?limit=1"),
    "order": Asked(200, "/v1/orders/{order_id}"),
    "poll": Asked(200, "/v1/orders/poll", headers={"Prefer": "wait=0"}),
    "not-modified": Asked(304, "/v1/orders/poll", headers={"If-None-Match": "*"}),
    "stream": Asked(200, "/v1/orders/stream"),
    "ticket": Asked(201, "/v1/tickets", "POST"),
    "ack": Asked(204, "/v1/acks", "POST", JSON, body=b'{"cursor":"0a0a0a0a.1","transport":"sse"}'),
    "sessions": Asked(200, "/v1/sessions"),
    "revoke": Asked(204, "/v1/sessions/phone", "DELETE"),
    "cors": Asked(200, "/v1/orders", headers={"Origin": ORIGIN}),
    "preflight": Asked(200, "/v1/orders", "OPTIONS", PREFLIGHT, anonymous=True),
    "invalid": Asked(400, "/v1/orders?limit=x"),
    "malformed": Asked(400, "/v1/acks", "POST", JSON, body=b"{"),
    "media": Asked(415, "/v1/acks", "POST", {"Content-Type": "text/plain"}, body=b"{}"),
    "unauthorized": Asked(401, "/v1/orders", anonymous=True),
    "forged": Asked(401, "/v1/orders/stream", headers={"Authorization": "Bearer a.b.c"}),
    "not-found": Asked(404, "/v1/orders/other"),
    "nowhere": Asked(404, "/v2"),
    "method": Asked(405, "/v1/orders", "DELETE"),
    "description": Asked(200, "/openapi.json", anonymous=True),
    "docs": Asked(200, "/docs", anonymous=True),
    "client": Asked(200, "/orderstream.js", anonymous=True),
    "live": Asked(200, "/health/live", admin=True),
    "ready": Asked(200, "/health/ready", admin=True),
    "metrics": Asked(200, "/metrics", admin=True),
    "status-page": Asked(200, "/", admin=True),
    "status-stream": Asked(200, "/status/stream", admin=True),
}


# What is refused before a database is asked, or without one.
REFUSALS = {
    "forbidden": Asked(403, "/v1/orders", headers={"Cookie": "orderstream_jwt=x", "Origin": ORIGIN}, anonymous=True),
    "body": Asked(413, "/v1/tickets", "POST", {"Content-Length": "65537"}),
    "url": Asked(414, f"/v1/orders?page={'x' * 9000}"),
    "header": Asked(431, "/v1/orders", headers={"X-Long": "x" * 17_000}),
    "unavailable": Asked(503, "/v1/tickets", "POST"),
    "limited": Asked(429, "/v1/orders"),
}


async def test_nothing_is_wrong_with_any_answer(database: str) -> None:
    """Of every resource, and of every kind of error."""
    with opened(database) as session, session.cursor() as at:
        order_id = insert_order(at, "ann")
    async with running_service(database, cors_origins=[ORIGIN]) as service, aiohttp.ClientSession() as client:
        await until_ready(client, service, wanted=True)
        found = {
            name: await complaints(client, service.admin_url if asked.admin else service.url, asked, order_id)
            for name, asked in ANSWERS.items()
        }
    assert {name: unexplained for name, unexplained in found.items() if unexplained} == {}


@pytest.mark.parametrize("name", REFUSALS)
async def test_nothing_is_wrong_with_what_is_refused(name: str) -> None:
    """At the edge: too large, too long, too many, from elsewhere, or without a database."""
    asked = REFUSALS[name]
    limits = LimitSettings(requests_per_user_per_minute=1 if asked.status == 429 else 100)
    async with edge(limits=limits) as served, aiohttp.ClientSession() as client:
        await served.ask("/v1/orders", "ann")
        assert await complaints(client, f"http://127.0.0.1:{served.port}", asked) == []


async def complaints(client: aiohttp.ClientSession, base_url: str, asked: Asked, order_id: str = "") -> list[str]:
    """The notes on one answer that are not explained."""
    credential = {} if asked.anonymous else {"Authorization": f"Bearer {jwt.issue(SECRET, 'ann', 3600)}"}
    url = base_url + asked.path.format(order_id=order_id)
    async with client.request(asked.method, url, headers=credential | dict(asked.headers), data=asked.body) as answer:
        assert answer.status == asked.status, asked
        return [
            f"{type(note).__name__} ({note.subject}): {note}"
            for note in notes(answer, await content(answer))
            # The other levels praise, or state a fact.
            if note.level in (levels.WARN, levels.BAD) and type(note).__name__ not in EXPLAINED
        ]


async def content(answer: aiohttp.ClientResponse) -> bytes:
    """The body; of a stream only its beginning."""
    if answer.content_type == "text/event-stream":
        return await answer.content.readuntil(b"\n\n")
    return await answer.read()


def notes(answer: aiohttp.ClientResponse, body: bytes) -> NotesProtocol:
    """What httplint says of an answer to its request."""
    asked = answer.request_info
    request = HttpRequestLinter()
    request.process_request_topline(asked.method.encode(), str(asked.url).encode(), b"1.1")
    request.process_headers([(name.encode(), value.encode()) for name, value in asked.headers.items()])
    request.finish_content(True)
    response = HttpResponseLinter()
    response.request = request
    response.process_response_topline(b"1.1", str(answer.status).encode(), (answer.reason or "").encode())
    response.process_headers(list(answer.raw_headers))
    response.feed_content(body)
    response.finish_content(True)
    return response.notes
