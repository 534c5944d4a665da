"""One reading of a feed: the connections of the moment, and the loop that judges what they heard.

The loop that reads the feed does all the work. Connections and timers are tasks that only put what they
heard into one bounded queue, each with itself as the sender; the loop lets the book and the machine judge
it, carries out the machine's actions, and gives the events out. So `feed.orders` is exactly what was told
so far, a slow reader slows the server instead of filling memory, and what a connection had said before it
was closed is known by its sender and left.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import aiohttp

from orderstream.client import transports
from orderstream.client.acks import Acks
from orderstream.client.book import Book, Hole
from orderstream.client.credential import Credential
from orderstream.client.errors import FeedEnded, SignedOut
from orderstream.client.events import Connection, ConnectionChanged, Event, State, Transport
from orderstream.client.happenings import (
    Action,
    AskPoll,
    Began,
    Cause,
    ClosePoll,
    CloseStream,
    Due,
    End,
    Forget,
    Happening,
    OpenStream,
    PollAnswered,
    PollLost,
    RenewJwt,
    Stop,
    StreamLost,
    Timer,
    Wait,
)
from orderstream.client.limits import Limits
from orderstream.client.machine import Machine
from orderstream.client.reader import Polled, PollReader, StreamReader
from orderstream.client.sse import Frame
from orderstream.client.wire import Cursor, Malformed

Sleep = Callable[[float], Awaitable[None]]
Key = Transport | Timer
# Called only once its task runs: a coroutine that was never begun would warn.
Work = Callable[[], Coroutine[None, None, None]]
Sender = asyncio.Task[None] | None

# A JWT that came too late, or could not be had, is not asked for again sooner.
RENEWAL_PAUSE_S = 5.0

SIGNED_OUT = frozenset({"auth-expired", "session-revoked", "unauthorized", "forbidden"})


class Surroundings(NamedTuple):
    """What a feed takes from outside: its limits, Unix seconds, floats in [0, 1), and how to wait seconds."""

    limits: Limits
    clock: Callable[[], float]
    random: Callable[[], float]
    sleep: Sleep


class Line:
    def __init__(self, url: str, credential: Credential, book: Book, acks: Acks, around: Surroundings) -> None:
        self._url = url
        self._credential = credential
        self._book = book
        self._acks = acks
        self._around = around
        self._machine = Machine(around.limits, around.random)
        self._inbox: asyncio.Queue[tuple[Sender, transports.Heard | Exception]] = asyncio.Queue(
            around.limits.queue_length
        )
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._links: dict[Transport, transports.Link] = {}
        self._stream_reader = self._new_stream_reader()
        self._poll_reader = self._new_poll_reader()
        self._keeper: Sender = None
        self._ended: FeedEnded | None = None
        # Whether the poll before was answered. The first one is not held, so that it is soon known whether polls work.
        self._is_answered = False
        self.connection = Connection(State.OFFLINE, None, self._now())

    async def events(self, session: aiohttp.ClientSession) -> AsyncIterator[Event]:
        """Raises SignedOut and FeedEnded. Safe to cancel; `close` must follow."""
        self._session = session
        if self._credential.renewable:
            self._keeper = self._spawn(self._keep_jwt_fresh)
        for event in self._on(Began()):
            yield event
        while self._ended is None:
            sender, heard = await self._inbox.get()
            if sender in self._tasks.values() or sender is self._keeper:
                for event in self._judge(sender, heard):
                    yield event
        raise self._ended

    async def close(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, self._acks.close(), return_exceptions=True)
        if self.connection.state is not State.SIGNED_OUT:
            self.connection = Connection(State.OFFLINE, None, self._now())

    def _judge(self, sender: Sender, heard: transports.Heard | Exception) -> Iterator[Event]:
        if isinstance(heard, Exception):
            raise heard
        if isinstance(heard, PollAnswered):
            self._poll_reader.caught_up()
        if isinstance(heard, Happening):
            yield from self._on(heard)
            return
        lost = StreamLost if isinstance(heard, Frame) else PollLost
        try:
            for told in self._read(heard):
                if isinstance(told, Event):
                    yield told
                else:
                    yield from self._on(told)
        except Hole:
            yield from self._on(lost(Cause.HOLE))
        except Malformed:
            self._book.malformed += 1
            yield from self._on(lost(Cause.MALFORMED))

    def _read(self, heard: Frame | Polled) -> Iterator[Event | Happening]:
        return self._stream_reader.read(heard) if isinstance(heard, Frame) else self._poll_reader.read(heard)

    def _new_stream_reader(self) -> StreamReader:
        came_live = partial(self._came_live, Transport.SSE)
        return StreamReader(self._book, renewable=self._credential.renewable, came_live=came_live)

    def _new_poll_reader(self) -> PollReader:
        return PollReader(self._book, came_live=partial(self._came_live, Transport.LONG_POLL))

    def _came_live(self, transport: Transport, cursor: Cursor) -> None:
        self._acks.offer(self._links[transport], cursor, transport)

    def _on(self, happening: Happening) -> Iterator[Event]:
        machine = self._machine
        if isinstance(happening, PollAnswered):
            self._is_answered = True
        for action in machine.on(happening, self._around.clock()):
            self._carry_out(action)
        since_at = datetime.fromtimestamp(machine.since_s, UTC)
        connection = Connection(machine.state, machine.transport, since_at)
        if connection != self.connection:
            self.connection = connection
            yield ConnectionChanged(transport=connection.transport, connection=connection, cause=machine.cause)

    def _carry_out(self, action: Action) -> None:
        match action:
            case OpenStream():
                self._stream_reader = self._new_stream_reader()
                self._start(Transport.SSE, self._stream)
            case AskPoll():
                self._start(Transport.LONG_POLL, self._poll)
            case CloseStream():
                self._stop(Transport.SSE)
            case ClosePoll():
                self._poll_reader = self._new_poll_reader()
                self._is_answered = False
                self._stop(Transport.LONG_POLL)
            case Wait(timer, for_s):
                self._start(timer, partial(self._wait, timer, for_s))
            case Stop(timer):
                self._stop(timer)
            case Forget():
                self._book.forget()
            case RenewJwt():
                for link in self._links.values():
                    self._credential.spoil(link.jwt)
            case End(reason):
                self._ended = (SignedOut if reason in SIGNED_OUT else FeedEnded)(reason)

    def _start(self, key: Key, work: Work) -> None:
        self._stop(key)
        self._tasks[key] = self._spawn(work)

    def _stop(self, key: Key) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    def _spawn(self, work: Work) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _guard(self, work: Work) -> None:
        try:
            await work()
        # The top of a background task: whoever reads the feed gets it.
        except Exception as error:  # noqa: BLE001
            await self._put(error)

    async def _put(self, heard: transports.Heard | Exception) -> None:
        await self._inbox.put((asyncio.current_task(), heard))

    async def _wait(self, timer: Timer, for_s: float) -> None:
        await self._around.sleep(for_s)
        await self._put(Due(timer))

    async def _stream(self) -> None:
        try:
            link = await self._link(Transport.SSE)
        except (aiohttp.ClientError, OSError):
            await self._put(StreamLost(Cause.FAILED))
        else:
            await self._put(await transports.stream(link, self._cursor(), self._put))

    async def _poll(self) -> None:
        try:
            link = await self._link(Transport.LONG_POLL)
        except (aiohttp.ClientError, OSError):
            await self._put(PollLost(Cause.FAILED))
        else:
            wait_s = link.limits.poll_wait_s if self._is_answered else 0.0
            await self._put(await transports.poll(link, self._cursor(), wait_s))

    async def _link(self, transport: Transport) -> transports.Link:
        jwt, renewable = await self._credential.jwt(), self._credential.renewable
        link = transports.Link(self._session, self._url, jwt, self._around.limits, renewable=renewable)
        self._links[transport] = link
        return link

    async def _keep_jwt_fresh(self) -> None:
        """Fetches the next JWT before this one ends, so that the stream comes back with it at once."""
        while True:
            fresh_for_s: float | None = RENEWAL_PAUSE_S
            try:
                await self._credential.jwt()
                fresh_for_s = self._credential.fresh_for_s()
            except (aiohttp.ClientError, OSError):
                pass
            if fresh_for_s is None:
                return
            await self._around.sleep(max(fresh_for_s, RENEWAL_PAUSE_S))

    def _cursor(self) -> str | None:
        return str(self._book.cursor) if self._book.cursor else None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._around.clock(), UTC)
