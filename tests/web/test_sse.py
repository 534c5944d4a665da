"""Server-Sent Events as docs/protocol.md promises them, read byte by byte from a socket."""

import asyncio

import pytest

from orderstream.web.seats import WHEEL
from orderstream.web.wheel import TICK_S
from tests.waiting import eventually
from tests.web.conftest import COOKIE, OPENED_IN_S, Frame, MakeSite, Site, Stream, bearer
from tests.web.memory import MemoryStore

HEAD = "0a0a0a0a."


def names(frames: list[Frame]) -> list[str | None]:
    return [frame.name for frame in frames]


async def test_sse_1_head_says_how_to_handle_the_stream(site: Site) -> None:
    """Not stored, not transformed, not buffered."""
    head = (await site.stream()).head
    for line in (
        "HTTP/1.1 200 OK",
        "Content-Type: text/event-stream",
        "Cache-Control: no-store, no-transform",
        "X-Accel-Buffering: no",
        "Vary: Authorization, Cookie, Origin",
    ):
        assert f"{line}\r\n" in head


async def test_sse_2_body_ends_with_the_connection(site: Site) -> None:
    """No chunks and no length: the bytes after the head are the events."""
    stream = await site.stream()
    assert "Connection: close\r\n" in stream.head
    assert "transfer-encoding" not in stream.head.lower()
    assert "content-length" not in stream.head.lower()
    assert (await stream.frame()).raw.startswith(b"retry: ")


async def test_sse_3_retry_comes_first_and_is_spread(make_site: MakeSite) -> None:
    """Half to one and a half of `retry_ms`, other for each stream."""
    site = await make_site(retry_ms=2000)
    retries = [(await (await site.stream()).frame()).retry_ms for _ in range(8)]
    assert all(retry is not None and 1000 <= retry <= 3000 for retry in retries)
    assert len(set(retries)) > 1


async def test_sse_4_frame_is_at_most_three_lines(site: Site) -> None:
    """id, event, data, and a blank line."""
    stream = await site.live()
    site.store.place("ann", reason="a\r\nb")
    raw = (await stream.frame()).raw
    lines = raw.split(b"\n")
    assert [line.partition(b": ")[0] for line in lines] == [b"id", b"event", b"data", b"", b""]
    assert b"\r" not in raw


async def test_sse_5_control_events_carry_no_id(make_site: MakeSite) -> None:
    """Only an event of the user's, and the end of a snapshot, move a browser's cursor."""
    site = await make_site(heartbeat_s=0.2)
    site.store.place("ann")
    stream = await site.stream("?cursor=nonsense")
    frames = await stream.until("heartbeat")
    site.store.place("ann")
    frames += await stream.until("order")
    next(site.hub.subscribers()).outlet.goaway("drain", reconnect=True, after_ms=0)
    frames += await stream.until("goaway")
    with_id = {frame.name for frame in frames if frame.id is not None}
    assert with_id == {"snapshot-end", "order"}
    assert {"reset", "snapshot", "live", "heartbeat", "goaway"} <= {frame.name for frame in frames}


@pytest.mark.parametrize(
    ("query", "header"), [("", f"{HEAD}1"), (f"?cursor={HEAD}1", None), (f"?cursor={HEAD}0", f"{HEAD}1")]
)
async def test_sse_6_stream_goes_on_after_the_cursor_of_the_header_else_of_the_query(
    site: Site, query: str, header: str | None
) -> None:
    """What follows it, then `live`."""
    for _ in range(3):
        site.store.place("ann")
    stream = await site.stream(query, bearer() | ({} if header is None else {"Last-Event-ID": header}))
    frames = await stream.until("live")
    assert [frame.id for frame in frames[1:-1]] == [f"{HEAD}2", f"{HEAD}3"]
    assert frames[-1].body == {"head": f"{HEAD}3"}


async def test_sse_7_stream_without_a_cursor_begins_with_a_snapshot(site: Site) -> None:
    """Then `live` with the same cursor, then what happens."""
    site.store.place("ann")
    stream = await site.stream()
    frames = await stream.until("live")
    assert names(frames) == [None, "snapshot", "snapshot-end", "live"]
    site.store.place("ann")
    assert (await stream.frame()).id == f"{HEAD}2"


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("nonsense", "cursor-malformed"),
        ("0c0c0c0c.1", "epoch-changed"),
        (f"{HEAD}9", "cursor-ahead"),
        (f"{HEAD}0", "cursor-expired"),
    ],
)
async def test_sse_8_reset_and_a_snapshot_follow_a_cursor_that_is_of_no_use(
    site: Site, cursor: str, reason: str
) -> None:
    """Told in the stream, never by a status."""
    for _ in range(3):
        site.store.place("ann")
    site.store.retire("ann", 3)
    frames = await (await site.stream(f"?cursor={cursor}")).until("live")
    assert names(frames) == [None, "reset", "snapshot", "snapshot-end", "live"]
    assert (frames[1].body, frames[3].id) == ({"reason": reason}, f"{HEAD}3")


async def test_sse_8_open_stream_is_reset_when_the_epoch_changes(site: Site) -> None:
    """The new cursor is of the new epoch."""
    stream = await site.live()
    site.store.renew_epoch()
    frames = await stream.until("snapshot-end")
    assert (frames[0].body, frames[-1].id) == ({"reason": "epoch-changed"}, "0b0b0b0b.0")


async def test_sse_9_heartbeats_tell_the_head_and_the_time(make_site: MakeSite) -> None:
    """Every `heartbeat_s` give or take a tenth, to the tenth of a second that the timer has."""
    site = await make_site(heartbeat_s=10, turning=False)
    site.store.place("ann")
    stream = await site.live()
    for _ in range(round(110 / TICK_S)):
        site.app[WHEEL].turn()
    site.store.place("ann")
    *beats, _ = await stream.until("order")
    assert all(beat.body["head"] == f"{HEAD}1" and beat.body["at"].endswith("Z") for beat in beats)
    assert 110 / 11 <= len(beats) <= 110 / 9


async def test_sse_10_no_heartbeat_before_the_position_is_known(make_site: MakeSite) -> None:
    """A head that the client cannot be measured by would tell it that it missed something."""
    site = await make_site(heartbeat_s=0.1)
    store, release = site.store, asyncio.Event()
    read = store.snapshots

    async def late(user_ids: list[str]) -> object:
        await release.wait()
        return await read(user_ids)

    store.snapshots = late  # type: ignore[method-assign, assignment]
    stream = await site.stream()
    await stream.frame()
    other = await site.live(f"?cursor={HEAD}0")
    await other.until("heartbeat")
    await other.until("heartbeat")
    release.set()
    assert (await stream.frame()).name == "snapshot-end"


async def test_sse_11_events_of_one_batch_are_one_write(site: Site) -> None:
    """A wake-up of the client's for each wake-up of ours."""
    stream = await site.live()
    with site.store.batch():
        for _ in range(3):
            site.store.place("ann")
    await stream.until("order")
    assert [len(write) for write in site.meter.writes][-1] == 3


async def test_sse_12_goaway_says_retry_again_and_ends_the_stream(site: Site) -> None:
    """An EventSource knows nothing else; and never less than 250 ms, for it may find a closed door."""
    near, far = await site.live(), await site.live()
    for after_ms, subscriber in zip((0, 4000), list(site.hub.subscribers()), strict=True):
        subscriber.outlet.goaway("drain", reconnect=True, after_ms=after_ms)
    goaway = b'event: goaway\ndata: {"reason":"drain","reconnect":true,"after_ms":%d}\n\n'
    assert await near.rest() == b"retry: 250\n\n" + goaway % 0
    assert await far.rest() == b"retry: 4000\n\n" + goaway % 4000


async def test_sse_13_missing_database_is_overload_and_not_a_status(site: Site) -> None:
    """EventSource would give up for ever at a 503."""
    site.store.reachable = False
    stream = await site.stream()
    frames = await stream.until("goaway")
    assert stream.head.startswith("HTTP/1.1 200 ")
    assert (frames[-1].body["reason"], frames[-1].body["reconnect"]) == ("overload", True)
    assert 1000 <= frames[-1].body["after_ms"] <= 3000
    assert await stream.rest() == b""


async def test_sse_14_expired_credential_is_a_goaway_at_the_door(site: Site) -> None:
    """200, come back in 10 s give or take a tenth, end."""
    stream = await site.stream(headers=bearer(expires_s=-5))
    frames = await stream.until("goaway")
    assert stream.head.startswith("HTTP/1.1 200 ")
    assert frames[-1].body["reason"] == "auth-expired"
    assert 9000 <= frames[-1].body["after_ms"] <= 11_000
    assert frames[-2].retry_ms == frames[-1].body["after_ms"]


async def test_sse_15_stream_ends_when_its_credential_does(make_site: MakeSite) -> None:
    """With goaway, at `exp`."""
    site = await make_site(auth_expiring_s=0)
    stream = await site.stream(headers=bearer(expires_s=OPENED_IN_S))
    frames = await stream.until("goaway")
    assert frames[-1].body == {"reason": "auth-expired", "reconnect": True, "after_ms": 0}
    assert await stream.rest() == b""


async def test_sse_16_stream_stays_open_while_the_database_is_lost(make_site: MakeSite) -> None:
    """With heartbeats, and goes on without a hole."""
    site = await make_site(heartbeat_s=0.2, load_retry_s=0.05)
    stream = await site.live()
    site.store.reachable = False
    site.hub.forget()
    assert (await stream.frame()).body["head"] == f"{HEAD}0"
    site.store.place("ann")
    site.store.reachable = True
    assert (await stream.until("order"))[-1].id == f"{HEAD}1"


def backlog(site: Site) -> list[int]:
    """Bytes that the server holds for each of its streams."""
    streams = [subscriber.outlet for subscriber in site.hub.subscribers()]
    return [stream._transport.get_write_buffer_size() for stream in streams]  # type: ignore[attr-defined]


async def test_sse_17_reader_that_stops_costs_no_memory_and_delays_nobody(site: Site) -> None:
    """What is held for it stays near the high-water mark; the others get everything."""
    stopped = await site.live()
    stopped._reader._transport.pause_reading()  # type: ignore[attr-defined]
    other = await site.live(f"?cursor={HEAD}0")
    for _ in range(120):
        site.store.place("ann", reason="x" * 100_000)
        await other.until("order")
    assert max(backlog(site)) < 400_000


async def test_sse_18_reader_that_stays_stopped_is_cut_off(make_site: MakeSite) -> None:
    """After `send_timeout_s` and a heartbeat's interval at most."""
    site = await make_site(send_timeout_s=0.3, heartbeat_s=0.2)
    stopped = await site.live()
    stopped._reader._transport.pause_reading()  # type: ignore[attr-defined]
    await eventually(lambda: site.store.place("ann", reason="x" * 500_000) and site.meter.closes)
    assert site.meter.closes[0] in {"slow-consumer", "client-gone"}


@pytest.mark.parametrize("path", ["from memory", "from the table", "as a snapshot"])
async def test_sse_19_what_is_larger_than_one_write_comes_whole(make_site: MakeSite, path: str) -> None:
    """Without anything having to happen meanwhile."""
    site = await make_site(log_max_events=4 if path == "from the table" else 256, log_max_bytes=10_000_000)
    for _ in range(60):
        site.store.place("ann", reason="x" * 10_000)
    stream = await site.stream("" if path == "as a snapshot" else f"?cursor={HEAD}0")
    frames = await stream.until("live")
    assert sum(len(frame.raw) for frame in frames) > 600_000
    assert frames[-1].body == {"head": f"{HEAD}60"}


@pytest.mark.parametrize("sent", ["a\udcffb", "%00%0d%0aid: 666", "\udcc2\udc85"])
async def test_sse_20_nothing_of_a_cursor_that_is_none_is_reflected(site: Site, sent: str) -> None:
    """Neither from the header nor from the query."""
    by_query = await site.stream("?cursor=" + "%0D%0Aid:%20666%00")
    by_header = await site.stream(headers=bearer() | {"Last-Event-ID": sent})
    for stream in (by_query, by_header):
        frames = await stream.until("live")
        assert names(frames) == [None, "reset", "snapshot-end", "live"]
        assert b"666" not in b"".join(frame.raw for frame in frames)


async def test_snap_1_parts_hold_50_orders_at_most(site: Site) -> None:
    """Newest first, and whole with `snapshot-end`."""
    ids = [site.store.place("ann") for _ in range(101)]
    frames = await (await site.stream()).until("live")
    parts = [frame.body["orders"] for frame in frames if frame.name == "snapshot"]
    assert [len(part) for part in parts] == [50, 50, 1]
    assert [order["id"] for part in parts for order in part] == ids[::-1]


async def test_snap_3_end_of_a_snapshot_carries_its_cursor(site: Site) -> None:
    """As `id` and in its body, with the number of orders."""
    site.store.place("ann")
    end = (await (await site.stream()).until("snapshot-end"))[-1]
    assert (end.id, end.body) == (f"{HEAD}1", {"cursor": f"{HEAD}1", "orders": 1})


async def test_snap_4_snapshot_of_nothing_is_its_end_alone(site: Site) -> None:
    """A user without orders has a cursor all the same."""
    frames = await (await site.stream()).until("live")
    assert names(frames) == [None, "snapshot-end", "live"]


async def test_who_3_stream_shows_only_the_orders_of_its_user(site: Site) -> None:
    """Whatever the request says beside its credential."""
    stream = await site.live("?user_id=bob&sub=bob")
    site.store.place("bob")
    ours = site.store.place("ann")
    assert (await stream.frame()).body["order"]["id"] == ours


async def test_who_2_cookie_opens_a_stream(site: Site) -> None:
    """A browser's EventSource can send nothing else."""
    credential = bearer()["Authorization"].removeprefix("Bearer ")
    stream = await site.stream(headers={"Cookie": f"{COOKIE}={credential}"})
    assert (await stream.until("live"))[-1].name == "live"


async def test_cur_2_cursor_is_good_on_every_process_and_transport(make_site: MakeSite) -> None:
    """From a list of one to a stream of another, and on to a poll."""
    store = MemoryStore()
    first, second = await make_site(store), await make_site(store)
    store.place("ann")
    cursor = (await (await first.get("/v1/orders")).json())["cursor"]
    store.place("ann")
    stream: Stream = await second.stream(f"?cursor={cursor}")
    event = (await stream.until("order"))[-1]
    store.place("ann")
    answer = await (await first.poll(f'W/"{event.id}"')).json()
    assert [one["id"] for one in answer["events"]] == [f"{HEAD}3"]
