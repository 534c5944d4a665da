"""A client's word that it has an event becomes one observation, and only of what its session was sent."""

import json
from typing import Any

import pytest
from aiohttp import ClientResponse

from orderstream.core.events import SequencedEvent, encoded
from orderstream.metrics import PrometheusMeter
from orderstream.web.limits import LimitSettings
from tests.waiting import PATIENCE_S
from tests.web.conftest import COOKIE, ORIGIN, MakeSite, Site, bearer
from tests.web.edge import edge, request
from tests.web.signing import signed

EPOCH = "0a0a0a0a"
BODY = '{"cursor":"0a0a0a0a.1","transport":"sse"}'


async def said(site: Site, cursor: str, transport: str = "sse", **headers: str) -> int:
    """The status of the answer."""
    body = {"cursor": cursor, "transport": transport}
    async with site.client.post("/v1/acks", json=body, headers=headers) as answer:
        assert await answer.read() == b"" or answer.status != 204
        return answer.status


def counted(site: Site, transport: str = "sse", of: str = "count") -> float:
    name = f"orderstream_written_to_acknowledged_seconds_{of}"
    return site.meter.registry.get_sample_value(name, {"transport": transport}) or 0.0


async def sent(site: Site, events: int = 1) -> dict[str, str]:
    """Whoever has a live stream on which so many events came."""
    who = bearer()
    stream = await site.stream(headers=who)
    await stream.until("live")
    for _ in range(events):
        site.store.place("ann")
        await stream.until("order")
    return who


async def test_ack_1_event_of_a_stream_is_measured(site: Site) -> None:
    """From its write to the client's word, in seconds of our clock."""
    who = await sent(site)
    assert await said(site, f"{EPOCH}.1", **who) == 204
    assert counted(site) == 1
    assert 0 < counted(site, of="sum") < PATIENCE_S


def test_ack_1_time_is_the_meters_clock_less_that_of_the_write() -> None:
    """No clock of a client's is in it."""
    meter = PrometheusMeter(clock=lambda: 1000.25)
    meter.acknowledged("sse", encoded(SequencedEvent(1, "ann", EPOCH, 1, "order", "{}", 1000.0)))
    name = "orderstream_written_to_acknowledged_seconds_sum"
    assert meter.registry.get_sample_value(name, {"transport": "sse"}) == 0.25


async def test_ack_1_event_of_a_poll_is_measured_for_itself(site: Site) -> None:
    """By the transport that brought it."""
    who = bearer()
    await (await site.poll(**who)).read()
    site.store.place("ann")
    await (await site.poll(f'W/"{EPOCH}.0"', **who)).read()
    assert await said(site, f"{EPOCH}.1", "poll", **who) == 204
    assert (counted(site), counted(site, "poll")) == (0, 1)


async def test_ack_2_event_counts_once_and_never_after_a_later_one(site: Site) -> None:
    """Or a client that repeats itself would be the whole histogram."""
    who = await sent(site, events=3)
    for seq in (2, 2, 1, 3, 3):
        assert await said(site, f"{EPOCH}.{seq}", **who) == 204
    assert counted(site) == 2


@pytest.mark.parametrize("cursor", [f"{EPOCH}.0", f"{EPOCH}.1", f"{EPOCH}.9", f"{EPOCH}.{2**63 - 1}", "0b0b0b0b.4"])
async def test_ack_2_cursor_that_is_not_held_is_not_counted(make_site: MakeSite, cursor: str) -> None:
    """The first event left memory; others are to come, or of another epoch. The database is not asked."""
    site = await make_site(log_max_events=2)
    who = await sent(site, events=4)
    site.store.reachable = False
    assert await said(site, cursor, **who) == 204
    assert counted(site) == 0


@pytest.mark.parametrize("whoever", [signed(sub="ann", sid="other"), signed(sub="bob")], ids=["session", "user"])
async def test_ack_2_event_that_another_was_sent_is_not_counted(site: Site, whoever: str) -> None:
    """Another session of the same user, or another user: neither has it open, and the channels are apart."""
    await sent(site)
    assert await said(site, f"{EPOCH}.1", Authorization=f"Bearer {whoever}") == 204
    assert counted(site) == 0


async def test_ack_2_event_that_came_by_the_other_transport_is_not_counted(site: Site) -> None:
    """The session has no poll."""
    who = await sent(site)
    assert await said(site, f"{EPOCH}.1", "poll", **who) == 204
    assert counted(site, "poll") == 0


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", "null", "{}", "\xff", "[" * 10_000, '{"x":' + "[" * 10_000),
        *('{"cursor":"0a0a0a0a.1"}', '{"transport":"sse"}', '{"cursor":1,"transport":"sse"}'),
        *(BODY.replace("sse", transport) for transport in ("websocket", "SSE", "")),
        *(BODY.replace("0a0a0a0a.1", cursor) for cursor in ("x", "0a0a0a0a.01", "0a0a0a0a.1\\n", f"0a0a0a0a.{2**63}")),
    ],
)
async def test_ack_3_body_that_cannot_be_is_refused(site: Site, body: str) -> None:
    """400, which repeats nothing of it."""
    answer = await posted(site, body.encode("latin-1"))
    problem: Any = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["type"]) == (400, "urn:orderstream:problem:invalid-parameter")
    assert problem["detail"].startswith(("the body must be", "cursor must be"))


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "x", "", None])
async def test_ack_3_body_of_another_type_is_refused(site: Site, media: str | None) -> None:
    """415; a page of another site can send none but those without being asked first."""
    answer = await posted(site, BODY.encode(), media)
    problem: Any = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["type"]) == (415, "urn:orderstream:problem:unsupported-media-type")


async def test_ack_3_body_that_is_too_large_is_refused(site: Site) -> None:
    """413, also where it does not say so before."""

    async def chunks() -> Any:
        yield b" " * 70_000

    assert (await posted(site, b" " * 70_000)).status == 413
    assert (await posted(site, chunks())).status == 413


async def test_ack_3_fields_of_a_later_client_are_ignored(site: Site) -> None:
    """As clients ignore ours."""
    who = await sent(site)
    answer = await posted(site, BODY.replace("{", '{"visible":false,').encode(), **who)
    assert (answer.status, counted(site)) == (204, 1)


async def posted(site: Site, body: Any, media: str | None = "application/json", **headers: str) -> ClientResponse:
    """None: the request names no media type."""
    named = {} if media is None else {"Content-Type": media}
    skipped = ["Content-Type"] if media is None else []
    whose = headers or bearer()
    return await site.client.post("/v1/acks", data=body, headers=whose | named, skip_auto_headers=skipped)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": f"{COOKIE}={signed()}"}, 204),
        ({"Cookie": f"{COOKIE}={signed()}", "Origin": ORIGIN}, 204),
        ({}, 401),
        (bearer(expires_s=-60), 401),
        ({"Cookie": f"{COOKIE}={signed()}", "Origin": "https://other.example"}, 403),
        ({"Cookie": f"{COOKIE}={signed()}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_ack_4_it_is_taken_of_whom_may_read(site: Site, headers: dict[str, str], status: int) -> None:
    """By the rules of every other request."""
    assert await said(site, f"{EPOCH}.1", **headers) == status


async def test_ack_4_it_counts_as_a_request_of_the_user() -> None:
    """429 where the user has made as many as one may."""
    async with edge(limits=LimitSettings(requests_per_user_per_minute=2)) as served:
        head = request("/v1/acks", method="POST", Content_Type="application/json", Content_Length=str(len(BODY)))
        answers = [await served.raw(head[:-2] + b"Connection: close\r\n\r\n" + BODY.encode()) for _ in range(3)]
    assert [answer.status for answer in answers] == [204, 204, 429]
    assert json.loads(answers[-1].body)["type"] == "urn:orderstream:problem:too-many-requests"


async def test_cors_1_preflight_of_an_acknowledgement_is_allowed(site: Site) -> None:
    """JSON is not sent by a page of another origin without one."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    answer = await site.client.options("/v1/acks", headers={"Origin": ORIGIN} | asked)
    assert (answer.status, answer.headers["Access-Control-Allow-Methods"]) == (200, "POST")
    assert "CONTENT-TYPE" in answer.headers["Access-Control-Allow-Headers"].upper()
