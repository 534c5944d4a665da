"""What holds for every resource: methods, problems, headers, who may ask, other origins, lists."""

from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.web.conftest import COOKIE, ORIGIN, Site, bearer

NO_STREAM = ["/v1/orders", "/v1/orders/poll", "/v1/orders/x", "/v1/orders/x/events", "/v1/executions"]
PATHS = [*NO_STREAM, "/v1/orders/stream"]
HEAD = "0a0a0a0a."


async def kind(answer: ClientResponse) -> str:
    """The stable tail of a problem's type, and that it is one."""
    body = await answer.json(content_type="application/problem+json")
    assert list(body)[:4] == ["type", "title", "status", "detail"]
    assert (body["status"], answer.headers["Cache-Control"]) == (answer.status, "no-store")
    return str(body["type"]).removeprefix("urn:orderstream:problem:")


def cookie(**headers: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={bearer()['Authorization'][7:]}"} | headers


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
async def test_http_1_orders_are_only_read(site: Site, path: str, method: str) -> None:
    """405, with what is allowed."""
    answer = await site.client.request(method, path, headers=bearer())
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]


async def test_http_2_error_is_a_problem(site: Site) -> None:
    """Also where nothing is."""
    assert await kind(await site.get("/v1/nothing")) == "not-found"
    assert await kind(await site.client.post("/v1/orders")) == "method-not-allowed"


@pytest.mark.parametrize(
    "query",
    ["status=new", "limit=0", "limit=201", "limit=1e2", "limit=-1", "symbol=", "symbol=%00", "page=x", "page=WyJhIl0"],
)
async def test_http_3_parameter_that_cannot_be_is_named(site: Site, query: str) -> None:
    """400 invalid-parameter."""
    answer = await site.get(f"/v1/orders?{query}")
    assert (answer.status, await kind(answer)) == (400, "invalid-parameter")
    assert query.partition("=")[0] in (await answer.json(content_type=None))["detail"]


async def test_http_4_what_should_not_happen_names_its_request_and_nothing_else(site: Site) -> None:
    """The log knows the rest."""

    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the secret reason")

    site.store.orders_page = broken  # type: ignore[method-assign]
    answer = await site.get("/v1/orders")
    assert (answer.status, await kind(answer)) == (500, "internal-error")
    text = await answer.text()
    assert answer.headers["X-Request-Id"] in text
    assert "secret" not in text


@pytest.mark.parametrize("path", NO_STREAM)
async def test_http_5_missing_database_is_503(site: Site, path: str) -> None:
    """With the seconds to wait."""
    site.store.reachable = False
    answer = await site.get(path)
    assert (answer.status, await kind(answer)) == (503, "database-unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/poll", "order"])
async def test_http_6_answer_about_a_user_is_not_stored(site: Site, path: str) -> None:
    """Nor shared: it varies with who asks."""
    order_id = site.store.place("ann")
    answer = await site.get(f"/v1/orders/{order_id}" if path == "order" else path)
    found = [answer.headers[name] for name in ("Content-Type", "Cache-Control", "Vary")]
    assert found == ["application/json", "private, no-store", "Authorization, Cookie, Origin"]


@pytest.mark.parametrize("path", NO_STREAM)
async def test_http_7_nothing_is_compressed(site: Site, path: str) -> None:
    """Whatever the client takes."""
    site.store.place("ann", reason="x" * 10_000)
    answer = await site.get(path, {"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("path", [*NO_STREAM, "/nothing"])
async def test_http_8_no_versions_are_named(site: Site, path: str) -> None:
    """What runs here is nobody's business."""
    assert (await site.get(path)).headers["Server"] == "orderstream"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sent", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}])
async def test_who_5_no_credential_is_401_without_an_error(site: Site, path: str, sent: dict[str, str]) -> None:
    """RFC 6750 section 3.1."""
    answer = await site.client.get(path, headers=sent)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert await kind(answer) == "unauthorized"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sent", ["nonsense", "a.b.c", "x" * 8000])
async def test_who_6_bad_credential_is_401_invalid_token(site: Site, path: str, sent: str) -> None:
    """On a stream too: it can never succeed."""
    answer = await site.client.get(path, headers={"Authorization": f"Bearer {sent}"})
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


@pytest.mark.parametrize("path", NO_STREAM)
async def test_who_7_expired_credential_is_401(site: Site, path: str) -> None:
    """Everywhere but on a stream."""
    answer = await site.get(path, bearer(expires_s=-60))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_who_4_cookie_across_sites_is_403(site: Site, path: str, sent: dict[str, str]) -> None:
    """Another site's page must not read with its visitor's cookie."""
    answer = await site.client.get(path, headers=cookie(**sent))
    assert (answer.status, await kind(answer)) == (403, "forbidden")


@pytest.mark.parametrize("origin", [ORIGIN, "self"])
async def test_who_4_cookie_of_our_pages_is_taken(site: Site, origin: str) -> None:
    """The same host, or an origin of the settings."""
    sent = f"http://127.0.0.1:{site.port}" if origin == "self" else origin
    assert (await site.client.get("/v1/orders", headers=cookie(Origin=sent))).status == 200


async def test_who_1_bearer_wins_over_the_cookie(site: Site) -> None:
    """What is sent on purpose counts."""
    order_id = site.store.place("bob")
    answer = await site.client.get(f"/v1/orders/{order_id}", headers=cookie() | bearer("bob"))
    assert answer.status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_cors_1_preflight_of_our_origin_is_allowed(site: Site, path: str) -> None:
    """With credentials, and the headers that a client sends."""
    sent = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,if-none-match,last-event-id,prefer",
    }
    answer = await site.client.options(path, headers=sent)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert (answer.headers["Access-Control-Allow-Credentials"], answer.headers["Access-Control-Max-Age"]) == (
        "true",
        "600",
    )


@pytest.mark.parametrize("sent", [bearer(), {}])
async def test_cors_2_pages_may_read_these_headers(site: Site, sent: dict[str, str]) -> None:
    """Of an error too."""
    answer = await site.client.get("/v1/orders", headers=sent | {"Origin": ORIGIN})
    exposed = set(answer.headers["Access-Control-Expose-Headers"].split(","))
    assert {"ETag", "Link", "Preference-Applied", "Retry-After"} <= exposed


async def test_cors_3_other_origins_are_told_nothing(site: Site) -> None:
    """And their preflight is refused."""
    sent = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    assert (await site.client.options("/v1/orders", headers=sent)).status == 403
    assert "Access-Control-Allow-Origin" not in (await site.get("/v1/orders", sent)).headers


async def test_list_1_page_is_newest_first_with_a_cursor(site: Site) -> None:
    """Fifty of them where no limit is given."""
    ids = [site.store.place("ann") for _ in range(51)]
    body = await (await site.get("/v1/orders")).json()
    assert list(body) == ["orders", "cursor", "next"]
    assert [order["id"] for order in body["orders"]] == ids[:0:-1]
    assert body["cursor"] == f"{HEAD}51"


@pytest.mark.parametrize(("query", "count"), [("", 3), ("status=all", 3), ("status=open", 2), ("status=closed", 1),
                                              ("symbol=MSFT", 1), ("limit=2", 2)])  # fmt: skip
async def test_list_2_page_is_filtered(site: Site, query: str, count: int) -> None:
    """By status and symbol, and no longer than its limit."""
    site.store.place("ann")
    site.store.place("ann", status="filled")
    site.store.place("ann", symbol="MSFT")
    assert len((await (await site.get(f"/v1/orders?{query}")).json())["orders"]) == count


async def test_list_3_links_lead_through_all_orders_once(site: Site) -> None:
    """Relative to what was asked for; orders that come meanwhile are not in later pages."""
    query, found = "?symbol=%22%3E%3Bx&limit=2", []
    wanted = [site.store.place("ann", symbol='">;x') for _ in range(5)][::-1]
    while query:
        answer = await site.get(f"/v1/orders{query}")
        body = await answer.json()
        found += [order["id"] for order in body["orders"]]
        site.store.place("ann", symbol='">;x')
        link = answer.headers.get("Link", "")
        assert (body["next"] is None) == (link == "")
        query = link.removeprefix("<").removesuffix('>; rel="next"')
        assert query == "" or (query.startswith("?") and not set(query) & set('<>" '))
    assert found == wanted


async def test_list_4_one_order_comes_with_its_executions(site: Site) -> None:
    """Oldest first."""
    order_id = site.store.place("ann")
    ids = [site.store.execute(order_id) for _ in range(2)]
    body = await (await site.get(f"/v1/orders/{order_id}")).json()
    assert (body["order"]["id"], [execution["id"] for execution in body["executions"]]) == (order_id, ids)


async def test_list_5_order_of_another_user_is_as_unknown_as_none(site: Site) -> None:
    """The same answer to the byte."""
    order_id = site.store.place("bob")
    theirs, none = await site.get(f"/v1/orders/{order_id}"), await site.get("/v1/orders/none")
    assert (theirs.status, await theirs.read()) == (404, await none.read())


@pytest.mark.parametrize("order_id", ["%00", "a%0D%0Ab", "x" * 256])
async def test_list_6_order_id_that_cannot_be_is_400(site: Site, order_id: str) -> None:
    """And is not reflected."""
    answer = await site.get(f"/v1/orders/{order_id}")
    assert (answer.status, await kind(answer)) == (400, "invalid-parameter")
