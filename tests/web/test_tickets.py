"""Tickets over HTTP, and a stream whose credential ends."""

import time
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse

from orderstream.web.seats import AUTHENTICATOR
from tests.web.conftest import COOKIE, OPENED_IN_S, ORIGIN, MakeSite, Site, bearer
from tests.web.signing import signed


async def asked(site: Site, **headers: str) -> ClientResponse:
    return await site.client.post("/v1/tickets", headers=headers)


async def ticket(site: Site, encoded: str = "") -> str:
    headers = {"Authorization": f"Bearer {encoded}"} if encoded else bearer()
    response = await asked(site, **headers)
    return str((await response.json())["ticket"])


async def refusal(site: Site, ticket: str) -> tuple[int, dict[str, Any], str | None]:
    """What an EventSource is answered that shows it; it has neither header nor cookie."""
    response = await site.client.get("/v1/orders/stream", params={"ticket": ticket})
    return response.status, await response.json(), response.headers.get("WWW-Authenticate")


@pytest.mark.parametrize(
    "headers",
    [bearer(), {"Cookie": f"{COOKIE}={signed()}"}, {"Cookie": f"{COOKIE}={signed()}", "Origin": ORIGIN}],
)
async def test_ticket_1_it_is_issued_for_a_jwt(site: Site, headers: dict[str, str]) -> None:
    """256 bits that nobody stores on the way, each time others."""
    responses = [await asked(site, **headers) for _ in range(2)]
    bodies = [await response.json() for response in responses]
    assert [response.status for response in responses] == [201, 201]
    assert responses[0].headers["Cache-Control"] == "private, no-store"
    assert [body["expires_in_s"] for body in bodies] == [30, 30]
    assert [len(body["ticket"]) for body in bodies] == [43, 43]
    assert bodies[0] != bodies[1]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer(expires_s=-60), 401),
        ({"Cookie": f"{COOKIE}={signed()}", "Origin": "https://other.example"}, 403),
        ({"Cookie": f"{COOKIE}={signed()}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
async def test_ticket_1_it_is_not_issued_to_whom_may_not_read(site: Site, headers: dict[str, str], status: int) -> None:
    """Nor to another site's page, which could hand it on."""
    assert (await asked(site, **headers)).status == status


async def test_ticket_3_it_does_not_buy_another(site: Site) -> None:
    """Or it would never end."""
    response = await site.client.post("/v1/tickets", params={"ticket": await ticket(site)})
    assert response.status == 400


async def test_ticket_1_it_is_not_issued_while_it_cannot_be_kept(site: Site) -> None:
    """The database is away."""
    site.tickets.reachable = False
    response = await asked(site, **bearer())
    assert (response.status, "Retry-After" in response.headers) == (503, True)


async def test_ticket_2_it_opens_one_stream_of_its_user(site: Site) -> None:
    """Whose orders come; nobody else's."""
    site.store.place("bob")
    order_id = site.store.place("ann")
    stream = await site.stream(f"?ticket={await ticket(site)}", headers={})
    orders = [
        order["id"]
        for frame in await stream.until("live")
        if frame.name == "snapshot"
        for order in frame.body["orders"]
    ]
    assert orders == [order_id]


async def test_ticket_4_a_spent_one_is_refused_like_any_other_that_is_not_good(site: Site) -> None:
    """An EventSource that comes back with it is closed by the 401, so its page gets a new one: it does not loop, and it
    does not become whoever the cookie says. Spent, over, or made up: the same answer."""
    spent = await ticket(site)
    await (await site.stream(f"?ticket={spent}", headers={})).until("live")
    refusals = [await refusal(site, shown) for shown in (spent, "a" * 43, "")]
    assert refusals[0] == refusals[1] == refusals[2]
    assert (refusals[0][0], refusals[0][2]) == (401, 'Bearer error="invalid_token"')
    response = await site.stream(f"?ticket={spent}", headers={"Cookie": f"{COOKIE}={signed()}"})
    assert response.head.startswith("HTTP/1.1 401")


async def test_ticket_5_stream_is_told_to_come_back_when_its_ticket_cannot_be_looked_up(site: Site) -> None:
    """The database is away and the ticket not spent: 200, when to come back, and the same ticket is good then."""
    shown = await ticket(site)
    site.tickets.reachable = False
    stream = await site.stream(f"?ticket={shown}", headers={})
    frames = await stream.until("goaway")
    assert stream.head.startswith("HTTP/1.1 200")
    assert (frames[-1].body["reason"], frames[-1].body["reconnect"]) == ("overload", True)
    assert frames[-2].retry_ms == frames[-1].body["after_ms"]
    site.tickets.reachable = True
    assert await (await site.stream(f"?ticket={shown}", headers={})).until("live")


async def test_revoked_session_is_told_never_to_come_back(site: Site) -> None:
    """204 on the stream, where an EventSource stops for good; 401 elsewhere."""
    app = site.app
    assert app is not None
    encoded = signed(sub="ann", sid="phone")
    shown = await ticket(site, encoded)
    app[AUTHENTICATOR].revoked = lambda identity: identity.session_id == "phone"
    by_bearer = await site.get("/v1/orders/stream", {"Authorization": f"Bearer {encoded}"})
    by_ticket = await site.client.get("/v1/orders/stream", params={"ticket": shown})
    listed = await site.get("/v1/orders", {"Authorization": f"Bearer {encoded}"})
    assert (by_bearer.status, by_ticket.status, listed.status) == (204, 204, 401)
    assert (await listed.json())["type"] == "urn:orderstream:problem:session-revoked"


@pytest.mark.parametrize("by_ticket", [False, True], ids=["bearer", "ticket"])
async def test_sse_22_client_that_returns_after_its_jwt_ended_loses_nothing(
    make_site: MakeSite, by_ticket: bool
) -> None:
    """Announced, told, and gone; what happened meanwhile comes after the cursor, once."""
    site = await make_site(auth_expiring_s=600)
    encoded = signed(sub="ann", exp=time.time() + OPENED_IN_S)
    query = f"?ticket={await ticket(site, encoded)}" if by_ticket else ""
    stream = await site.stream(query, headers={} if by_ticket else {"Authorization": f"Bearer {encoded}"})
    frames = await stream.until("live")
    first = site.store.place("ann")
    frames += await stream.until("goaway")
    announced, told = [frame for frame in frames if frame.name in ("auth-expiring", "goaway")]
    assert (announced.id, told.body) == (None, {"reason": "auth-expired", "reconnect": True, "after_ms": 0})
    [known] = [frame for frame in frames if frame.name == "order"]
    assert known.body["order"]["id"] == first
    assert await stream.rest() == b""
    missed = [site.store.place("ann") for _ in range(3)]
    back = await (await site.stream(headers={**bearer(), "Last-Event-ID": str(known.id)})).until("live")
    assert [frame.body["order"]["id"] for frame in back if frame.name == "order"] == missed
    assert not [frame for frame in back if frame.name == "reset"]


async def test_sse_21_end_is_announced_in_whole_seconds(make_site: MakeSite) -> None:
    """`{expires_in_s}`, without an id: it moves no cursor."""
    site = await make_site(auth_expiring_s=600)
    stream = await site.stream(headers=bearer(expires_s=300))
    [announced] = [frame for frame in await stream.until("auth-expiring") if frame.name == "auth-expiring"]
    assert announced.id is None
    assert msgspec.convert(announced.body, dict[str, int])["expires_in_s"] in range(295, 301)
