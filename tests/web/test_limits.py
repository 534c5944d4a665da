"""Each limit at its edge, over loopback sockets, on a clock that only the test moves."""

import asyncio
import json
import re

import pytest

from orderstream.web.limits import LIMITS, LimitSettings
from orderstream.web.windows import WindowStorage
from tests.waiting import eventually
from tests.web.edge import Edge, Line, edge, request

NOW = 'W/"0a0a0a0a.0"'


def goaway(raw: bytes) -> tuple[dict[str, object], int]:
    """The last goaway of a stream that ended, and the last `retry`."""
    assert raw.endswith(b"\n\n")
    document = raw.rpartition(b"event: goaway\ndata: ")[2]
    return json.loads(document), int(re.findall(rb"retry: (\d+)", raw)[-1])


async def told(served: Edge, user: str | None = "u1") -> tuple[dict[str, object], int]:
    """How a stream is turned away."""
    answer = await served.ask("/v1/orders/stream", user)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    return goaway(answer.raw)


async def held_poll(served: Edge, user: str = "u1") -> Line:
    """A poll that waits."""
    waiting = len(list(served.hub.subscribers()))
    line = await served.line()
    line.send(request("/v1/orders/poll", user, If_None_Match=NOW))
    await eventually(lambda: len(list(served.hub.subscribers())) > waiting)
    return line


# Streams


async def test_limit_1_oldest_stream_of_a_user_gives_way_to_the_newest() -> None:
    """At one more than may be; the others, and the newest, are undisturbed."""
    async with edge(limits=LimitSettings(max_streams_per_user=2)) as served:
        oldest, second, other = await served.stream(), await served.stream(), await served.stream("u2")
        newest = await served.stream()
        document, retry_ms = goaway(await oldest.rest())
        served.store.place("u1")
        served.store.place("u2")
        for line in (second, newest, other):
            await line.until(b"event: order\n")
    assert (document["reason"], document["reconnect"]) == ("too-many-connections", False)
    assert 600_000 <= int(str(document["after_ms"])) <= 900_000
    assert retry_ms == document["after_ms"]


async def test_limit_1_stream_that_ended_leaves_its_seat() -> None:
    """Who closes a tab and opens another closes nobody's stream."""
    async with edge(limits=LimitSettings(max_streams_per_user=2)) as served:
        first, second = await served.stream(), await served.stream()
        await second.close()
        await eventually(lambda: len(list(served.hub.subscribers())) == 1)
        await served.stream()
        served.store.place("u1")
        await first.until(b"event: order\n")


async def test_limit_2_stream_is_told_overload_when_the_process_is_full() -> None:
    """With 200, to come back later; one that ends makes room."""
    async with edge(limits=LimitSettings(max_streams=2)) as served:
        first, _ = await served.stream("u1"), await served.stream("u2")
        document, retry_ms = await told(served, "u3")
        await first.close()
        await eventually(lambda: len(list(served.hub.subscribers())) == 1)
        await served.stream("u3")
    assert (document["reason"], document["reconnect"], document["after_ms"]) == ("overload", True, retry_ms)


async def test_limit_3_new_streams_are_let_in_at_a_rate() -> None:
    """A second's worth at once, then as time goes."""
    async with edge(limits=LimitSettings(new_streams_per_s=2)) as served:
        await served.stream(), await served.stream()
        assert (await told(served))[0]["reason"] == "overload"
        served.now += 0.5
        await served.stream()


async def test_limit_3_burst_of_two_thousand_leaves_open_streams_undisturbed() -> None:
    """Each is told when to come back, spread; those who were there get their events, and nothing else."""
    limits = LimitSettings(new_streams_per_s=50, requests_per_user_per_minute=10_000)
    async with edge(limits=limits) as served:
        lines = [await served.stream(f"u{n}") for n in range(50)]
        waits = []
        async with asyncio.timeout(60):
            for _ in range(20):
                answers = await asyncio.gather(*[told(served, "crowd") for _ in range(100)])
                waits += [int(str(document["after_ms"])) for document, _ in answers]
        for n, line in enumerate(lines):
            served.store.place(f"u{n}")
            # `live` was read up to its name: its data, and then the event, with nothing between.
            assert (await line.until(b"event: order\n")).count(b"event: ") == 1
    assert len(waits) == 2000
    assert max(waits) - min(waits) > 30_000
    assert len(set(waits)) > 1000


# Polls


async def test_limit_4_polls_of_a_user_are_bounded() -> None:
    """429 with Retry-After for one more, none of another user's business; one that ends makes room."""
    async with edge(limits=LimitSettings(max_polls_per_user=1)) as served:
        first = await held_poll(served)
        refused = await served.ask("/v1/orders/poll", If_None_Match=NOW)
        await held_poll(served, "u2")
        await first.close()
        await eventually(lambda: len(list(served.hub.subscribers())) == 1)
        await held_poll(served)
    assert (refused.status, refused.kind) == (429, "too-many-requests")
    assert int(refused.headers["retry-after"]) > 0


async def test_limit_4_polls_of_the_process_are_bounded() -> None:
    """503 with Retry-After."""
    async with edge(limits=LimitSettings(max_polls=1)) as served:
        await held_poll(served)
        refused = await served.ask("/v1/orders/poll", "u2", If_None_Match=NOW)
    assert (refused.status, refused.kind) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0


# Requests


async def test_limit_6_requests_of_a_user_are_bounded() -> None:
    """429 that says when, which is then true; another user is not concerned."""
    async with edge(limits=LimitSettings(requests_per_user_per_minute=3)) as served:
        statuses = [(await served.ask("/v1/orders")).status for _ in range(3)]
        refused = await served.ask("/v1/orders")
        other = await served.ask("/v1/orders", "u2")
        served.now += int(refused.headers["retry-after"])
        later = await served.ask("/v1/orders")
    assert [*statuses, refused.status, other.status, later.status] == [200, 200, 200, 429, 200, 200]
    assert refused.kind == "too-many-requests"


@pytest.mark.parametrize(
    "settings",
    [LimitSettings(requests_per_user_per_minute=1), LimitSettings(requests_per_address_per_minute=1)],
    ids=["user", "address"],
)
async def test_limit_6_stream_is_told_overload_instead_of_429(settings: LimitSettings) -> None:
    """An EventSource would give up for ever at a 429."""
    async with edge(limits=settings) as served:
        await served.ask("/v1/orders")
        document, retry_ms = await told(served)
    assert (document["reason"], document["reconnect"], retry_ms) == ("overload", True, document["after_ms"])
    assert retry_ms > 50_000


async def test_limit_6_requests_of_an_address_are_bounded_whoever_asks() -> None:
    """Guesses at credentials count, and so does what is not there."""
    async with edge(limits=LimitSettings(requests_per_address_per_minute=2)) as served:
        guess, nothing = await served.ask("/v1/orders", None), await served.ask("/nothing", None)
        refused = await served.ask("/v1/orders")
    assert [guess.status, nothing.status, refused.status] == [401, 404, 429]
    assert int(refused.headers["retry-after"]) == 61


@pytest.mark.parametrize(("trusted", "last"), [([], 429), (["127.0.0.0/8"], 200)])
async def test_limit_5_forwarded_address_counts_only_from_a_trusted_proxy(trusted: list[str], last: int) -> None:
    """Else whoever invents addresses would have no limit."""
    async with edge(limits=LimitSettings(requests_per_address_per_minute=1, trusted_proxies=trusted)) as served:
        first = await served.ask("/v1/orders", X_Forwarded_For="198.51.100.7")
        second = await served.ask("/v1/orders", X_Forwarded_For="198.51.100.8")
    assert (first.status, second.status) == (200, last)


# Memory


def test_limit_7_windows_forget_the_longest_unused() -> None:
    """However many addresses somebody has."""
    storage = WindowStorage(max_keys=3, clock=lambda: 0.0)
    for key in ("a", "b", "c", "a", "d"):
        assert storage.acquire_sliding_window_entry(key, 9, 60)
    assert len(storage) == 3
    assert [storage.get(key) for key in "abcd"] == [2, 0, 1, 1]


async def test_limit_7_seats_are_given_back_when_streams_and_polls_end() -> None:
    """Nothing is kept of who has left."""
    async with edge() as served:
        lines = [await served.stream(), await served.stream("u2"), await held_poll(served, "u3")]
        for line in lines:
            await line.close()
        limits = served.app[LIMITS]
        await eventually(lambda: (limits.open_streams, limits.waiting_polls) == (0, 0))
