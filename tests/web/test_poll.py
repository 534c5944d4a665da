"""The long-poll as docs/protocol.md promises it."""

import asyncio
import re
import time

import pytest
from aiohttp import ClientResponse

from orderstream.core.conditional import preferred_wait_s
from orderstream.core.delivery import State
from orderstream.web.seats import AUTHENTICATOR
from tests.waiting import eventually, let_pass
from tests.web.conftest import MakeSite, Site, bearer

HEAD = "0a0a0a0a."
NOW = {"Prefer": "wait=0"}


async def held(
    site: Site, tag: str = f"{HEAD}0", headers: dict[str, str] | None = None
) -> asyncio.Task[ClientResponse]:
    """A poll that waits for something to happen."""
    waiting = asyncio.ensure_future(site.poll(f'W/"{tag}"', **(headers or {})))
    await eventually(lambda: any(one.state is State.LIVE for one in site.hub.subscribers()))
    return waiting


async def test_poll_1_snapshot_answers_where_no_tag_is_sent(site: Site) -> None:
    """At once, with the cursor to go on from."""
    order_id = site.store.place("ann")
    answer = await site.poll()
    body = await answer.json()
    assert (answer.status, answer.headers["ETag"]) == (200, f'W/"{HEAD}1"')
    assert list(body) == ["cursor", "orders", "executions"]
    assert (body["cursor"], [order["id"] for order in body["orders"]]) == (f"{HEAD}1", [order_id])


@pytest.mark.parametrize("tag", [None, f'"{HEAD}0"', f'"{HEAD}1"', "*", '"nonsense"'])
async def test_poll_2_every_answer_has_its_tag_and_is_not_stored(site: Site, tag: str | None) -> None:
    """304 has the same headers, the tag among them."""
    site.store.place("ann")
    headers = (await site.poll(tag, **NOW)).headers
    assert (headers["ETag"], headers["Cache-Control"]) == (f'W/"{HEAD}1"', "private, no-store")
    assert headers["Vary"] == "Authorization, Cookie, Origin"


async def test_poll_3_what_follows_an_older_tag_answers_at_once(site: Site) -> None:
    """Each as `{id, event, data}`."""
    for _ in range(3):
        site.store.place("ann")
    body = await (await site.poll(f'W/"{HEAD}1"')).json()
    assert (body["cursor"], body["more"]) == (f"{HEAD}3", False)
    assert [(event["id"], event["event"]) for event in body["events"]] == [(f"{HEAD}2", "order"), (f"{HEAD}3", "order")]


async def test_poll_4_data_of_an_event_is_the_same_bytes_as_over_sse(site: Site) -> None:
    """Numbers too, whose text is exact."""
    stream = await site.live()
    site.store.place("ann", quantity="12345678901234567890.5")
    data = (await stream.frame()).raw.partition(b"\ndata: ")[2].rstrip(b"\n")
    body = await (await site.poll(f'W/"{HEAD}0"')).read()
    assert body == b'{"cursor":"%b1","events":[{"id":"%b1","event":"order","data":%b}],"more":false}' % (
        HEAD.encode(),
        HEAD.encode(),
        data,
    )


@pytest.mark.parametrize("log_max_events", [1024, 64])
async def test_poll_5_answer_holds_500_events_at_most_and_says_whether_there_are_more(
    make_site: MakeSite, log_max_events: int
) -> None:
    """Asked again with its tag, the rest comes; from memory as from the table."""
    site = await make_site(log_max_events=log_max_events)
    with site.store.batch():
        for _ in range(700):
            site.store.place("ann")
    found, more, cursor = [], True, f"{HEAD}0"
    while more:
        body = await (await site.poll(f'W/"{cursor}"')).json()
        assert len(body["events"]) <= 500
        found += [event["id"] for event in body["events"]]
        cursor, more = body["cursor"], body["more"]
    assert found == [f"{HEAD}{seq}" for seq in range(1, 701)]


async def test_poll_6_current_tag_is_held_until_something_happens(site: Site) -> None:
    """200 with it."""
    waiting = await held(site)
    site.store.place("ann")
    body = await (await waiting).json()
    assert [event["id"] for event in body["events"]] == [f"{HEAD}1"]


async def test_poll_7_304_without_a_body_answers_when_the_time_is_up(make_site: MakeSite) -> None:
    """Nothing that would describe a body either."""
    site = await make_site(poll_wait_s=0.2)
    answer = await site.poll(f'W/"{HEAD}0"')
    assert (answer.status, await answer.read()) == (304, b"")
    assert "Content-Length" not in answer.headers
    assert "Content-Type" not in answer.headers
    assert answer.headers["ETag"] == f'W/"{HEAD}0"'


@pytest.mark.parametrize(("wished", "applied"), [("wait=0", "wait=0"), ('Wait = "0"', "wait=0")])
async def test_poll_8_wait_of_0_is_never_held(site: Site, wished: str, applied: str) -> None:
    """304 at once, and the preference confirmed."""
    answer = await site.poll(f'W/"{HEAD}0"', Prefer=wished)
    assert (answer.status, answer.headers["Preference-Applied"]) == (304, applied)


async def test_poll_9_wait_is_cut_to_the_most(make_site: MakeSite) -> None:
    """55 s, if nobody set it otherwise; Preference-Applied says what counts."""
    site = await make_site()
    waiting = await held(site, headers={"Prefer": "wait=600"})
    site.store.place("ann")
    assert (await waiting).headers["Preference-Applied"] == "wait=55"


@pytest.mark.parametrize(
    ("prefer", "wait_s"),
    [
        ("wait=5", 5),
        ("respond-async, wait=5;x=1, wait=9", 5),
        ('foo="a, wait=9", wait=4', 4),
        ("wait=abc, wait=5", None),
        ("foo; wait=10", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait", None),
        ('wait="5', None),
        ("wait=\u0665", None),
        ("wait=" + "9" * 5000, None),
    ],
)
def test_poll_10_first_wait_counts_and_one_that_cannot_be_read_is_ignored(prefer: str, wait_s: int | None) -> None:
    """RFC 7240 section 2."""
    assert preferred_wait_s(prefer) == wait_s


async def test_poll_10_ignored_wait_is_not_confirmed(make_site: MakeSite) -> None:
    """The time is the default one."""
    site = await make_site(poll_wait_s=0.05)
    answer = await site.poll(f'W/"{HEAD}0"', Prefer="wait=soon")
    assert (answer.status, "Preference-Applied" in answer.headers) == (304, False)


async def test_poll_11_time_is_up_to_a_tenth_shorter(make_site: MakeSite) -> None:
    """Those that were answered together do not come back together."""
    site = await make_site(poll_wait_s=200, poll_max_wait_s=200)
    asked = site.client.get("/v1/orders/poll", headers=bearer() | {"If-None-Match": f'W/"{HEAD}0"'})
    waiting = asyncio.ensure_future(asked)
    await eventually(lambda: any(one.state is State.LIVE for one in site.hub.subscribers()))
    let_pass(0.8 * 200)
    # What was due by now has come before this is answered.
    await site.get("/v1/orders")
    assert not waiting.done()
    let_pass(0.2 * 200)
    assert (await waiting).status == 304


@pytest.mark.parametrize(
    "tag",
    [
        f'W/"{HEAD}2"',
        f'"{HEAD}2"',
        f'W/"{HEAD}2-gzip"',
        f'"other", W/"{HEAD}1",  "{HEAD}2"',
        f'"ffffffff.900", W/"{HEAD}2"',
    ],
)
async def test_poll_12_tags_are_compared_weakly_and_in_lists(site: Site, tag: str) -> None:
    """Weak or not, whatever a proxy appended; the newest cursor of the epoch in force counts."""
    for _ in range(2):
        site.store.place("ann")
    assert (await site.poll(tag, **NOW)).status == 304


async def test_poll_13_star_is_304_at_once_with_the_tag(site: Site) -> None:
    """It asks whether there is anything at all."""
    site.store.place("ann")
    answer = await site.poll("*")
    assert (answer.status, answer.headers["ETag"]) == (304, f'W/"{HEAD}1"')


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("nonsense", "cursor-malformed"),
        ("0c0c0c0c.1", "epoch-changed"),
        (f"{HEAD}9", "cursor-ahead"),
        (f"{HEAD}0", "cursor-expired"),
    ],
)
async def test_poll_14_reset_and_a_snapshot_answer_a_tag_that_is_of_no_use(site: Site, tag: str, reason: str) -> None:
    """At once."""
    for _ in range(3):
        site.store.place("ann")
    site.store.retire("ann", 3)
    body = await (await site.poll(f'W/"{tag}"')).json()
    assert list(body) == ["reset", "cursor", "orders", "executions"]
    assert (body["reset"], body["cursor"], len(body["orders"])) == (reason, f"{HEAD}3", 3)


async def test_poll_15_reset_during_the_wait_is_told(site: Site) -> None:
    """Never 304, at which the client would keep what it has."""
    waiting = await held(site)
    site.store.renew_epoch()
    body = await (await waiting).json()
    assert (body["reset"], body["cursor"]) == ("epoch-changed", "0b0b0b0b.0")


async def test_poll_16_credential_that_ends_during_the_wait_is_401(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shown to whom may no longer see it."""
    waiting = await held(site, headers=bearer(expires_s=60))
    monkeypatch.setattr(site.app[AUTHENTICATOR]._verifier, "_now", lambda: time.time() + 61)
    site.store.place("ann")
    answer = await waiting
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


async def test_poll_17_drain_ends_the_wait_with_304(site: Site) -> None:
    """The client asks again, elsewhere."""
    waiting = await held(site)
    for subscriber in site.hub.subscribers():
        subscriber.outlet.goaway("drain", reconnect=True, after_ms=0)
    assert (await waiting).status == 304


async def test_poll_17_drain_before_anything_is_known_is_503(site: Site) -> None:
    """304 would answer a client that has nothing."""
    never = asyncio.Event()
    site.store.snapshots = lambda user_ids: never.wait()  # type: ignore[method-assign, assignment, return-value]
    waiting = asyncio.ensure_future(site.poll())
    await eventually(lambda: list(site.hub.subscribers()))
    for subscriber in site.hub.subscribers():
        subscriber.outlet.goaway("drain", reconnect=True, after_ms=3000)
    answer = await waiting
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")


@pytest.mark.parametrize("seq", ["-1", "01", "1.0", "9223372036854775808", "9" * 20, "1\t", "+1", "", "\u0661"])
async def test_cur_1_cursor_has_one_shape(site: Site, seq: str) -> None:
    """Another is malformed, also where no number of ours could be as large."""
    body = await (await site.poll(f'W/"{HEAD}{seq}"')).json()
    assert body["reset"] == "cursor-malformed"


async def test_cur_1_cursors_of_ours_have_it(site: Site) -> None:
    """Eight lower-case hex digits, a point, a number."""
    body = await (await site.poll()).json()
    assert re.fullmatch(r"[0-9a-f]{8}\.(0|[1-9][0-9]*)", body["cursor"])
