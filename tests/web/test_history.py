"""What an order came to: its executions added up, the names it had, what happened to it; and statements."""

import base64
from datetime import UTC, datetime

import pytest

from tests.web.conftest import Site, bearer
from tests.web.test_http import HEAD, kind


async def test_list_7_net_takes_busts_and_corrections_into_account(site: Site) -> None:
    """Exact; and null where it cannot be added up."""
    order_id = site.store.place("ann")
    trades = [site.store.execute(order_id, quantity="4.5", price="10.10") for _ in range(3)]
    site.store.execute(order_id, quantity="0", kind="bust", refers_to=trades[0])
    site.store.execute(order_id, quantity="4", price="10.2", kind="correction", refers_to=trades[1])
    text = await (await site.get(f"/v1/orders/{order_id}")).text()
    assert '"net":{"quantity":8.5,"average_price":10.1470588235}' in text


async def test_list_7_net_of_nothing_has_no_price(site: Site) -> None:
    """It is zero."""
    body = await (await site.get(f"/v1/orders/{site.store.place('ann')}")).json()
    assert body["net"] == {"quantity": 0, "average_price": None}


async def test_list_8_names_that_an_order_had_lead_to_the_one_it_has(site: Site) -> None:
    """Over requests that were refused, and fills that name only one."""
    order_id = site.store.place("ann", client_order_id="X")
    for name, original in (("Y", "X"), ("X", None), ("Y", "X"), ("Y", None), ("Z", "Y"), ("Z", None)):
        site.store.change(order_id, client_order_id=name, original_client_order_id=original)
    body = await (await site.get(f"/v1/orders/{order_id}")).json()
    assert body["client_order_ids"] == ["X", "Y", "Z"]


async def test_list_9_events_of_an_order_are_those_of_the_stream_in_pages(site: Site) -> None:
    """The same bytes, oldest first, and none of other orders; the last page has no next."""
    order_id = site.store.place("ann")
    site.store.place("ann")
    site.store.execute(order_id)
    site.store.change(order_id, status="filled")
    answer = await site.get(f"/v1/orders/{order_id}/events?limit=2")
    first, text = await answer.json(), await answer.text()
    second = await (await site.get(f"/v1/orders/{order_id}/events?limit=2&page={first['next']}")).json()
    _, told = await site.store.events_after("ann", 0)
    assert f'{{"events":[{told[0].document.decode()},' in text
    assert [event["id"] for event in first["events"] + second["events"]] == [f"{HEAD}{seq}" for seq in (1, 3, 4)]
    assert (answer.headers["Link"], second["next"]) == (f'<?limit=2&page={first["next"]}>; rel="next"', None)


async def test_list_9_order_whose_events_are_gone_has_none(site: Site) -> None:
    """It is there all the same."""
    order_id = site.store.place("ann")
    site.store.retire("ann", 2)
    assert await (await site.get(f"/v1/orders/{order_id}/events")).json() == {"events": [], "next": None}


@pytest.mark.parametrize("page", ["-1", "9223372036854775808", '"x"', "[1]", "1.5", "null"])
async def test_list_9_page_that_is_none_is_400(site: Site, page: str) -> None:
    """Whatever a client makes up."""
    made_up = base64.urlsafe_b64encode(page.encode()).decode().rstrip("=")
    answer = await site.get(f"/v1/orders/{site.store.place('ann')}/events?page={made_up}")
    assert (answer.status, await kind(answer)) == (400, "invalid-parameter")


async def test_list_10_events_of_another_users_order_are_as_unknown_as_those_of_none(site: Site) -> None:
    """The same answer to the byte."""
    order_id = site.store.place("bob")
    theirs, none = await site.get(f"/v1/orders/{order_id}/events"), await site.get("/v1/orders/none/events")
    assert (theirs.status, await theirs.read()) == (404, await none.read())


async def test_list_10_user_sees_of_an_order_what_they_were_told(site: Site) -> None:
    """The one who had it, until it left; the one who has it, from then on."""
    order_id = site.store.place("bob", symbol="SECRET")
    site.store.change(order_id, user_id="ann", symbol="AAPL")
    path = f"/v1/orders/{order_id}/events"
    [mine] = (await (await site.get(path)).json())["events"]
    theirs = (await (await site.get(path, bearer("bob"))).json())["events"]
    assert (mine["event"], mine["data"]["order"]["symbol"]) == ("order", "AAPL")
    assert [event["event"] for event in theirs] == ["order", "order-removed"]


async def test_list_11_executions_are_the_users_own_newest_first(site: Site) -> None:
    """Of all their orders; the links lead through all of them once."""
    orders = [site.store.place("ann"), site.store.place("ann")]
    site.store.execute(site.store.place("bob"))
    ids = [site.store.execute(orders[number % 2]) for number in range(5)]
    query, found = "?limit=2", []
    while query:
        answer = await site.get(f"/v1/executions{query}")
        found += [one["id"] for one in (await answer.json())["executions"]]
        query = answer.headers.get("Link", "").removeprefix("<").removesuffix('>; rel="next"')
    assert found == ids[::-1]


@pytest.mark.parametrize(("query", "days"), [
    ("since=2026-01-02T00:00:00Z", [3, 2]), ("until=2026-01-02T00:00:00Z", [1]), ("symbol=AAPL&limit=1", [3]),
    ("since=2026-01-02T00:00:00%2B01:00&until=2026-01-02T00:00:00.000001Z", [2]), ("symbol=MSFT", []),
    ("since=2026-01-03T00:00:00+00:00", [3]),
])  # fmt: skip
async def test_list_11_executions_are_chosen_by_time_and_symbol(site: Site, query: str, days: list[int]) -> None:
    """From the first time on, to before the second."""
    order_id = site.store.place("ann")
    for day in (1, 2, 3):
        site.store.execute(order_id, executed_at=datetime(2026, 1, day, tzinfo=UTC))
    body = await (await site.get(f"/v1/executions?{query}")).json()
    assert [int(one["executed_at"][8:10]) for one in body["executions"]] == days


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "until=2026-01-02", "since=2026-01-02T00:00:00", "since=", "limit=0", "page=x", "symbol="],
)
async def test_list_11_parameter_that_cannot_be_is_400(site: Site, query: str) -> None:
    """A time without its offset too."""
    answer = await site.get(f"/v1/executions?{query}")
    assert (answer.status, await kind(answer)) == (400, "invalid-parameter")
