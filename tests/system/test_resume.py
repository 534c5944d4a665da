"""A client that comes back with a cursor, on any transport and any process, gets exactly what it missed, or a reset."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from tests.services import RunningService, running_service
from tests.system.clients import Frame, open_stream, poll
from tests.system.tables import epoch_of, execute, write_orders

Resume = Callable[[aiohttp.ClientSession, RunningService, str], Awaitable[list[Frame]]]

# More than the log of a channel holds, and than one page of a replay.
EVENTS = 30
LOG_EVENTS, PAGE_EVENTS = 8, 5
SETTINGS = {"log_max_events": LOG_EVENTS, "replay_page_events": PAGE_EVENTS, "poll_max_events": 7}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def services(database: str, session: aiohttp.ClientSession) -> AsyncIterator[list[RunningService]]:
    """Two processes' worth, both with the user's channel warm and up to date."""
    async with running_service(database, **SETTINGS) as one, running_service(database, **SETTINGS) as other:
        async with open_stream(session, one, "ann") as here, open_stream(session, other, "ann") as there:
            await here.until("live")
            await there.until("live")
            write_orders(database, "ann", EVENTS)
            for stream in (here, there):
                for _ in range(EVENTS):
                    await stream.until("order")
        yield [one, other]


async def by_header(session: aiohttp.ClientSession, at: RunningService, cursor: str) -> list[Frame]:
    async with open_stream(session, at, "ann", header=cursor) as stream:
        return (await stream.until("live"))[1:-1]


async def by_query(session: aiohttp.ClientSession, at: RunningService, cursor: str) -> list[Frame]:
    async with open_stream(session, at, "ann", query=cursor) as stream:
        return (await stream.until("live"))[1:-1]


async def by_poll(session: aiohttp.ClientSession, at: RunningService, cursor: str) -> list[Frame]:
    """As many polls as it takes, as the frames that a stream would have had."""
    got: list[Frame] = []
    answer = await poll(session, at, "ann", cursor)
    while answer.status == 200:
        got += [Frame("reset", {"reason": answer.body["reset"]}, None)] if "reset" in answer.body else []
        if "orders" in answer.body:
            orders = answer.body["orders"]
            got.append(Frame("snapshot", {"orders": orders}, None))
            got.append(Frame("snapshot-end", {"cursor": answer.cursor, "orders": len(orders)}, answer.cursor))
        got += [Frame(event["event"], event["data"], event["id"]) for event in answer.body.get("events", [])]
        answer = await poll(session, at, "ann", answer.cursor)
    assert answer.status == 304
    return got


BY = pytest.mark.parametrize("resume", [by_header, by_query, by_poll])


@pytest.mark.system
@BY
@pytest.mark.parametrize(("missed", "from_table"), [(0, False), (LOG_EVENTS // 2, False), (EVENTS - 3, True)])
async def test_resume_gives_exactly_what_was_missed(
    resume: Resume, missed: int, from_table: bool, session: aiohttp.ClientSession, services: list[RunningService]
) -> None:
    """The same on both processes; from memory where the log reaches back, else from the table in pages."""
    epoch = services[0].service.hub.epoch
    before = [table_reads(at) for at in services]
    here, there = [await resume(session, at, f"{epoch}.{EVENTS - missed}") for at in services]
    assert [frame.id for frame in here] == [f"{epoch}.{seq}" for seq in range(EVENTS - missed + 1, EVENTS + 1)]
    assert here == there
    assert [table_reads(at) > reads for at, reads in zip(services, before, strict=True)] == [from_table, from_table]


@pytest.mark.system
@BY
@pytest.mark.parametrize("warm", [True, False])
async def test_resume_is_reset_when_the_cursor_is_older_than_retention(
    resume: Resume, warm: bool, database: str, session: aiohttp.ClientSession, services: list[RunningService]
) -> None:
    """Whether the channel knew the events while they were there, or is loaded after they went."""
    epoch = services[0].service.hub.epoch
    execute(database, "delete from orderstream.events where seq < 15")
    if not warm:
        services[0].service.hub.forget()
    expect_reset(await resume(session, services[0], f"{epoch}.3"), "cursor-expired", f"{epoch}.{EVENTS}")
    kept = await resume(session, services[0], f"{epoch}.14")
    assert [frame.id for frame in kept] == [f"{epoch}.{seq}" for seq in range(15, EVENTS + 1)]


@pytest.mark.system
@BY
@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("ffffffff.3", "epoch-changed"),
        ("{epoch}.31", "cursor-ahead"),
        ("{epoch}.03", "cursor-malformed"),
        ("x y", "cursor-malformed"),
    ],
)
async def test_resume_is_reset_when_the_cursor_is_of_no_use(
    resume: Resume, cursor: str, reason: str, session: aiohttp.ClientSession, services: list[RunningService]
) -> None:
    """Another epoch, ahead of us, or not a cursor: the reason, a whole snapshot, and a cursor that is good."""
    epoch = services[0].service.hub.epoch
    frames = await resume(session, services[0], cursor.format(epoch=epoch))
    expect_reset(frames, reason, f"{epoch}.{EVENTS}")


@pytest.mark.system
async def test_last_event_id_wins_over_the_query(
    session: aiohttp.ClientSession, services: list[RunningService]
) -> None:
    """A browser's own memory is newer than the address that its page was loaded with."""
    epoch = services[0].service.hub.epoch
    async with open_stream(session, services[0], "ann", header=f"{epoch}.28", query=f"{epoch}.3") as stream:
        frames = await stream.until("live")
    assert [frame.id for frame in frames if frame.id] == [f"{epoch}.29", f"{epoch}.30"]


@pytest.mark.system
async def test_open_stream_is_reset_when_a_new_epoch_begins(
    database: str, session: aiohttp.ClientSession, services: list[RunningService]
) -> None:
    """On every process; what is committed afterwards follows the snapshot, numbered on in the new epoch."""
    old = epoch_of(database)
    async with (
        open_stream(session, services[0], "ann", header=f"{old}.{EVENTS}") as here,
        open_stream(session, services[1], "ann", header=f"{old}.{EVENTS}") as there,
    ):
        await here.until("live")
        await there.until("live")
        execute(database, "select orderstream.new_epoch()")
        new = epoch_of(database)
        for stream in (here, there):
            expect_reset((await stream.until("live"))[:-1], "epoch-changed", f"{new}.{EVENTS}")
        write_orders(database, "ann", 1)
        assert [(await stream.until("order"))[-1].id for stream in (here, there)] == 2 * [f"{new}.{EVENTS + 1}"]


def expect_reset(frames: list[Frame], reason: str, cursor: str) -> None:
    """A reset, and a snapshot of all orders up to `cursor`."""
    assert frames[0] == Frame("reset", {"reason": reason}, None)
    assert [frame.event for frame in frames[1:]] == ["snapshot", "snapshot-end"]
    assert len(frames[1].data["orders"]) == EVENTS
    assert frames[-1] == Frame("snapshot-end", {"cursor": cursor, "orders": EVENTS}, cursor)


def table_reads(at: RunningService) -> float:
    """How often it went to the table for one client's events."""
    return at.service.meter.registry.get_sample_value("orderstream_loads_total", {"kind": "events"}) or 0.0
