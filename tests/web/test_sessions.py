"""`/v1/sessions` over a loopback socket: what is shown, what is ended, and what nobody learns."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import jwt
import pytest

from orderstream.core.cursor import Cursor
from orderstream.ports import ExecutionsPage, OrdersPage
from orderstream.sessions import ListedDelivery, OpenDelivery
from orderstream.web.limits import LimitSettings
from orderstream.web.seats import AUTHENTICATOR, SESSION_STORE, SESSIONS
from tests.services import SECRET
from tests.waiting import eventually
from tests.web.edge import Answer, Edge, Line, edge, request
from tests.web.memory_sessions import FOREVER, MemorySessions

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0.0.0 Safari/537.36"
_RECEIVE_BYTES = 32_768
NOW = 'W/"0a0a0a0a.0"'


@pytest.fixture
async def served() -> AsyncIterator[Edge]:
    # Behind a proxy on the same machine.
    async with edge(limits=LimitSettings(trusted_proxies=["127.0.0.0/8"])) as served:
        yield served


def store(served: Edge) -> MemorySessions:
    found = served.app[SESSION_STORE]
    assert isinstance(found, MemorySessions)
    return found


def of(session_id: str, user_id: str = "ann") -> str:
    claims = {"sub": user_id, "sid": session_id, "exp": int(time.time()) + 3600}
    return "Bearer " + jwt.encode(claims, SECRET, "HS256")


async def stream(served: Edge, session_id: str, user_id: str = "ann", **headers: str) -> Line:
    return await served.stream(None, Authorization=of(session_id, user_id), **headers)


async def listed(served: Edge, session_id: str = "laptop", user_id: str = "ann") -> Any:
    answer = await served.ask("/v1/sessions", None, Authorization=of(session_id, user_id))
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, no-store"
    return json.loads(answer.body)["sessions"]


async def log_out(served: Edge, session_id: str, user_id: str = "ann", by: str = "laptop") -> Answer:
    return await served.ask(f"/v1/sessions/{session_id}", None, "DELETE", Authorization=of(by, user_id))


async def test_session_1_list_groups_open_streams_by_login(served: Edge) -> None:
    """What is open, on what, since when, how far, from about where; and which one asks."""
    await stream(served, "laptop", User_Agent=AGENT, X_Forwarded_For="203.0.113.77")
    [laptop] = await listed(served)
    [shown] = laptop["streams"]
    assert (laptop["id"], laptop["current"]) == ("laptop", True)
    assert shown.pop("opened_at").endswith("Z")
    assert shown == {"transport": "sse", "platform": "web", "cursor": "0a0a0a0a.0", "address": "203.0.113.0/24"}


async def test_session_1_list_shows_other_processes_and_never_another_user(served: Edge) -> None:
    """One login may be open on several; the newest first."""
    await stream(served, "laptop")
    far = ListedDelivery("phone", "sse", "mobile", "2001:db8::/48", FOREVER, None)
    store(served).elsewhere = {"ann": [far, far._replace(session_id="laptop", opened_at=1.0)], "ben": [far]}
    assert [(each["id"], each["current"], len(each["streams"])) for each in await listed(served)] == [
        ("phone", False, 1),
        ("laptop", True, 2),
    ]
    assert await listed(served, user_id="cem") == []


async def test_session_2_device_that_polls_is_one_stream(served: Edge) -> None:
    """However many polls, on however many processes; listed between two of them."""
    for _ in range(2):
        await served.ask("/v1/orders/poll", None, Authorization=of("phone"), User_Agent="okhttp/4.12.0")
    store(served).elsewhere = {"ann": [ListedDelivery("phone", "poll", "mobile", "127.0.0.0/24", 1.0, "0a0a0a0a.7")]}
    [phone] = await listed(served)
    assert phone["streams"] == [
        {
            "transport": "poll",
            "platform": "mobile",
            "opened_at": "1970-01-01T00:00:01.000000Z",
            "cursor": "0a0a0a0a.7",
            "address": "127.0.0.0/24",
        }
    ]


async def test_session_3_logged_out_stream_is_told_and_ends(served: Edge) -> None:
    """And when an EventSource comes back by itself, 204 tells it never to; other devices go on."""
    phone, laptop = await stream(served, "phone"), await stream(served, "laptop")
    assert (await log_out(served, "phone")).status == 204
    told = await phone.rest()
    assert told.endswith(b'event: goaway\ndata: {"reason":"session-revoked","reconnect":false,"after_ms":0}\n\n')
    assert (await served.ask("/v1/orders/stream", None, Authorization=of("phone"))).status == 204
    served.store.place("ann")
    assert b"id: 0a0a0a0a.1\n" in await laptop.until(b"event: order\n")
    assert [each["id"] for each in await listed(served)] == ["laptop"]


async def test_session_3_logged_out_poll_is_answered_at_once(served: Edge) -> None:
    """With 401, as all requests of its login from now on."""
    held = asyncio.ensure_future(
        served.ask("/v1/orders/poll", None, Authorization=of("phone"), If_None_Match=NOW, Prefer="wait=50")
    )
    await eventually(lambda: served.app[SESSIONS].of_user("ann"))
    await log_out(served, "phone")
    answers = [await held, await served.ask("/v1/orders/poll", None, Authorization=of("phone"))]
    assert [(answer.status, answer.kind) for answer in answers] == [(401, "session-revoked")] * 2


async def test_session_3_stream_that_opens_while_its_login_is_ended_does_not_survive(served: Edge) -> None:
    """It was let in before, and is entered after."""
    sessions = served.app[SESSIONS]
    open_stream = sessions.open_stream

    def revoke_first(stream: OpenDelivery) -> None:
        sessions.revoke("ann", "phone", FOREVER)
        open_stream(stream)

    sessions.open_stream = revoke_first  # type: ignore[method-assign]
    answer = await served.ask("/v1/orders/stream", None, Authorization=of("phone"))
    assert answer.body.count(b"event:") == answer.body.count(b"event: goaway\n") == 1
    assert list(served.hub.subscribers()) == []


# Path -> what its answer waits for, and gets in the end.
HELD: dict[str, tuple[str, Any]] = {
    "/v1/orders": ("orders_page", OrdersPage(Cursor("0a0a0a0a", 0), [], None)),
    "/v1/orders/1": ("order", (b'{"id":"1"}', [])),
    "/v1/orders/1/events": ("order_events", []),
    "/v1/executions": ("executions_page", ExecutionsPage([], None)),
    "/v1/sessions": ("open_elsewhere", []),
}


@pytest.mark.parametrize("path", HELD)
@pytest.mark.parametrize("ended", ["session-revoked", "unauthorized"])
async def test_who_10_answer_is_refused_when_its_session_ends_while_it_is_made(
    served: Edge, monkeypatch: pytest.MonkeyPatch, path: str, ended: str
) -> None:
    """The database took its time; what was logged out, or has expired since, gets none of it."""
    (waits, given), asked, go_on = HELD[path], asyncio.Event(), asyncio.Event()

    async def held(*_: Any, **__: Any) -> Any:
        asked.set()
        await go_on.wait()
        return given

    monkeypatch.setattr(store(served) if waits == "open_elsewhere" else served.store, waits, held)
    asking = asyncio.create_task(served.ask(path, None, Authorization=of("phone")))
    await asked.wait()
    if ended == "session-revoked":
        await log_out(served, "phone")
    else:
        verifier = served.app[AUTHENTICATOR]._verifier
        monkeypatch.setattr(verifier, "_now", lambda: time.time() + 7200)
    go_on.set()
    assert ((await asking).status, (await asking).kind) == (401, ended)


@pytest.mark.parametrize("session_id", ["phone", "nobody's", "%2F..%2F", "a" * 255])
async def test_session_4_ending_a_login_is_answered_the_same_whose_ever_it_is(served: Edge, session_id: str) -> None:
    """Known, unknown, another user's, ended before: 204, and only one's own is ended."""
    bens = await stream(served, "phone", user_id="ben")
    answers = [await log_out(served, session_id) for _ in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(204, b"")] * 2
    assert len({tuple(sorted(set(answer.headers) - {"date"})) for answer in answers}) == 1
    served.store.place("ben")
    await bens.until(b"event: order\n")


async def test_session_4_login_can_end_itself(served: Edge) -> None:
    """The answer still comes; the next one is 401."""
    assert (await log_out(served, "laptop")).status == 204
    assert (await log_out(served, "laptop")).status == 401


async def test_limit_6_sessions_are_ended_in_a_share_of_their_own() -> None:
    """A thief's requests, about anything, do not keep the owner's other login from ending the thief's."""
    async with edge(limits=LimitSettings(requests_per_user_per_minute=2)) as served:
        for path in ("/v1/orders", "/v1/sessions"):
            thefts = [(await served.ask(path, None, Authorization=of("phone"))).status for _ in range(3)]
            assert thefts == [200, 200, 429]
        assert [(await log_out(served, "phone")).status for _ in range(3)] == [204, 204, 429]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/sessions"), ("DELETE", "/v1/sessions/phone")])
async def test_session_5_is_for_those_who_say_who_they_are_while_there_is_a_database(
    served: Edge, method: str, path: str
) -> None:
    """No credential: 401; and 503 where it could not be made sure that every process hears of it."""
    assert (await served.ask(path, None, method)).status == 401
    store(served).reachable = False
    answer = await served.ask(path, None, method, Authorization=of("laptop"))
    assert (answer.status, "retry-after" in answer.headers) == (503, True)


@pytest.mark.parametrize("session_id", ["a" * 256, "%0A", "%00"])
async def test_session_4_what_cannot_be_a_session_id_is_refused(served: Edge, session_id: str) -> None:
    """Nothing is kept of it."""
    assert (await log_out(served, session_id)).status == 400


@pytest.mark.parametrize("where", ["kernel", "transport"])
async def test_session_3_slow_client_is_cut_off_when_its_login_is_ended(served: Edge, where: str) -> None:
    """What lies in our buffer for it, or in the kernel's, must not arrive later: it reads what it had, and no more."""
    with socket.socket() as slow:
        # Before it connects, which is when its window is agreed upon.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", served.port))
        await loop.sock_sendall(slow, request("/v1/orders/stream", None, Authorization=of("phone")))
        await eventually(lambda: any(one.head for one in served.hub.subscribers()))
        [subscriber] = served.hub.subscribers()
        transport = subscriber.outlet._transport  # type: ignore[attr-defined]
        written = 0
        while not (transport.get_write_buffer_size() if where == "transport" else written > 150_000):
            served.store.place("ann", reason="x" * 30_000)
            written += 30_000
            await asyncio.sleep(0)
        assert (transport.get_write_buffer_size() > 0) is (where == "transport")
        assert (await log_out(served, "phone")).status == 204
        await eventually(lambda: not any(served.hub.subscribers()))
        got = await everything(slow)
    assert b"session-revoked" not in got
    assert len(got) < 4 * _RECEIVE_BYTES < written


async def everything(client: socket.socket) -> bytes:
    """All that can be read, which a reset ends."""
    got = b""
    with suppress(ConnectionResetError):
        while chunk := await asyncio.get_running_loop().sock_recv(client, 65_536):
            got += chunk
    return got
