"""Who is asking: one credential counts, at its place, and from pages that may send it."""

import math
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from orderstream.core.claims import Identity
from orderstream.errors import Forbidden, InvalidParameter, SessionRevoked, Unauthorized, Unavailable
from orderstream.web.identity import Authenticator, AuthenticatorSettings
from orderstream.web.jwt import JwtSettings, Verifier
from orderstream.web.keys import fixed_keys
from orderstream.web.ticket_desk import TicketDesk
from tests.web.memory_tickets import MemoryTickets
from tests.web.signing import SECRET, signed

HOST = "orders.example"
FRIEND = "https://trade.example"
SETTINGS = AuthenticatorSettings(jwt_cookie="login", cors_origins=[FRIEND])


@pytest.fixture
def tickets() -> MemoryTickets:
    return MemoryTickets()


@pytest.fixture
def authenticator(tickets: MemoryTickets) -> Authenticator:
    return Authenticator(Verifier(fixed_keys(SECRET, ""), None, JwtSettings()), TicketDesk(tickets), SETTINGS)


def request(path: str = "/", bearer: str = "", cookie: str = "", **headers: str) -> Any:
    sent = {"Host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
    sent |= {"Cookie": f"login={cookie}"} if cookie else {}
    return make_mocked_request("GET", path, headers=sent)


ANN, BOB, FORGED = signed(sub="ann"), signed(sub="bob"), signed("another-secret-of-the-tests-of-32-bytes")


async def ticket_of(authenticator: Authenticator, encoded: str) -> str:
    return await authenticator.tickets.issue(await authenticator.authenticate(request(bearer=encoded)))


async def test_who_8_the_header_counts_before_a_ticket_and_the_cookie(authenticator: Authenticator) -> None:
    """And the ticket is not spent."""
    ticket = await ticket_of(authenticator, BOB)
    all_three = request(f"/?ticket={ticket}", bearer=ANN, cookie=BOB)
    assert (await authenticator.authenticate(all_three, ticket=True)).user_id == "ann"
    assert (await authenticator.authenticate(request(f"/?ticket={ticket}"), ticket=True)).user_id == "bob"


async def test_who_8_a_ticket_counts_before_the_cookie(authenticator: Authenticator) -> None:
    """Also on a page of another site, whose browser adds the cookie by itself."""
    ticket = await ticket_of(authenticator, ANN)
    both = request(f"/?ticket={ticket}", cookie=BOB, Origin="https://other.example")
    assert (await authenticator.authenticate(both, ticket=True)).user_id == "ann"


@pytest.mark.parametrize(
    "asked",
    [
        request(bearer=FORGED, cookie=ANN),
        request("/?ticket=spent", cookie=ANN),
        request("/?ticket=", cookie=ANN),
        request("/?ticket=" + "a" * 43, cookie=ANN),
        request(cookie=ANN, Authorization="Basic YTpi"),
        request(cookie=ANN, Authorization="Bearer"),
    ],
)
async def test_who_8_what_counts_is_good_or_the_request_is_refused(authenticator: Authenticator, asked: Any) -> None:
    """A client that means to be somebody never silently becomes somebody else."""
    with pytest.raises(Unauthorized):
        await authenticator.authenticate(asked, ticket=True)


async def test_who_8_two_authorization_headers_are_refused(authenticator: Authenticator) -> None:
    """Which of them would a proxy have looked at?"""
    asked = request(bearer=ANN)
    two = asked.clone(headers=[*asked.headers.items(), ("Authorization", f"Bearer {BOB}")])
    with pytest.raises(Unauthorized):
        await authenticator.authenticate(two)


@pytest.mark.parametrize("name", ["access_token", "id_token", "jwt", "token", "ticket"])
@pytest.mark.parametrize("bearer", ["", ANN])
async def test_who_9_a_jwt_in_the_url_is_refused(authenticator: Authenticator, name: str, bearer: str) -> None:
    """Good or not, and whatever else is sent: it is in a log by now."""
    with pytest.raises(InvalidParameter, match="not taken from a URL"):
        await authenticator.authenticate(request(f"/?{name}={ANN}", bearer=bearer), ticket=True)


async def test_ticket_3_a_ticket_opens_nothing_but_a_stream(authenticator: Authenticator) -> None:
    """It is told so, and the ticket is still good."""
    ticket = await ticket_of(authenticator, ANN)
    with pytest.raises(InvalidParameter, match="only opens a stream"):
        await authenticator.authenticate(request(f"/?ticket={ticket}"))
    assert await authenticator.authenticate(request(f"/?ticket={ticket}"), ticket=True)


async def test_ticket_5_a_ticket_that_cannot_be_looked_up_is_not_refused(
    authenticator: Authenticator, tickets: MemoryTickets
) -> None:
    """The database is away: the client may come back with it."""
    ticket = await ticket_of(authenticator, ANN)
    tickets.reachable = False
    with pytest.raises(Unavailable):
        await authenticator.authenticate(request(f"/?ticket={ticket}"), ticket=True)
    tickets.reachable = True
    assert await authenticator.authenticate(request(f"/?ticket={ticket}"), ticket=True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": f"https://{HOST}"},
        {"Origin": FRIEND, "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "https://before.the.proxy.example", "Sec_Fetch_Site": "same-origin"},
    ],
)
async def test_the_cookie_is_taken_from_our_pages_and_friends(
    authenticator: Authenticator, headers: dict[str, str]
) -> None:
    """And from what is no page at all."""
    assert await authenticator.authenticate(request(cookie=ANN, **headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://other.example"},
        {"Origin": "https://sub.orders.example", "Sec_Fetch_Site": "same-site"},
        {"Origin": f"https://{HOST}:8443"},
        {"Origin": f"{FRIEND}.other.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "Same-Origin"},
        {"Sec_Fetch_Site": ""},
        {"Origin": f"http://{HOST}", "Sec_Fetch_Site": "same-site"},
    ],
)
async def test_the_cookie_is_not_taken_from_another_site(authenticator: Authenticator, headers: dict[str, str]) -> None:
    """Whose page its user may not even have seen; a bearer is nobody's to send but its owner's."""
    with pytest.raises(Forbidden):
        await authenticator.authenticate(request(cookie=ANN, **headers))
    assert await authenticator.authenticate(request(bearer=ANN, **headers))


@pytest.mark.parametrize(
    "sent", [f"login={ANN}; login={BOB}", f"login={ANN};x=y; login=", f'login={ANN};login="{ANN}"']
)
async def test_who_8_two_cookies_of_the_name_are_refused(authenticator: Authenticator, sent: str) -> None:
    """A sibling host can plant one for the whole site: nobody is made somebody else by it, first or last."""
    with pytest.raises(InvalidParameter, match="two cookies"):
        await authenticator.authenticate(request(Cookie=sent))
    alone, _, _ = sent.partition(";")
    assert (await authenticator.authenticate(request(Cookie=f"x_login=1; {alone}"))).user_id == "ann"


@pytest.mark.parametrize("way", ["bearer", "cookie", "ticket"])
async def test_who_10_a_revoked_session_is_refused_whatever_it_brings(authenticator: Authenticator, way: str) -> None:
    """Verified before or not; the user's other sessions go on."""
    lost, kept = signed(sub="ann", sid="phone"), signed(sub="ann", sid="tab")
    ticket = await ticket_of(authenticator, lost)
    asked = {
        "bearer": request(bearer=lost),
        "cookie": request(cookie=lost),
        "ticket": request(f"/?ticket={ticket}"),
    }[way]
    authenticator.revoked = lambda identity: identity.session_id == "phone"
    with pytest.raises(SessionRevoked):
        await authenticator.authenticate(asked, ticket=True)
    assert await authenticator.authenticate(request(bearer=kept))


async def test_an_issued_credential_is_its_holders_and_ends_with_the_process(authenticator: Authenticator) -> None:
    """It is no JWT: another process, and one letter more, know nothing of it."""
    canary = Identity("canary", "canary", math.inf)
    credential = authenticator.issue(canary)
    assert await authenticator.authenticate(request(bearer=credential)) == canary
    other = Authenticator(Verifier(fixed_keys(SECRET, ""), None, JwtSettings()), authenticator.tickets, SETTINGS)
    for asked, bearer in [(authenticator, f"{credential}A"), (other, credential)]:
        with pytest.raises(Unauthorized):
            await asked.authenticate(request(bearer=bearer))
