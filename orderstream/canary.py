"""The canary: changes a reserved user's order every few seconds and watches for it over real connections to this very
service, one for each transport.

It finds what no gauge does: a trigger that was disabled, a LISTEN that is dead, a leader that is stuck. Its times are
from before the change to its arrival, on one clock. Nobody else's order is touched, and its connections are served like
anybody's.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from orderstream.client import wire
from orderstream.client.happenings import PollAnswered
from orderstream.client.limits import Limits
from orderstream.client.reader import Polled
from orderstream.client.sse import Frame
from orderstream.client.transports import Heard, Link, poll, stream
from orderstream.errors import Unavailable
from orderstream.ports import Meter

_log = structlog.get_logger()

TRANSPORTS = ("sse", "poll")
_RETRY_S = 1.0
_HELD_S = 25.0


class Canary:
    """`change(mark)` writes the mark into the reserved user's order, and raises Unavailable where it cannot."""

    def __init__(
        self, change: Callable[[str], Awaitable[object]], meter: Meter, *, every_s: float, late_s: float
    ) -> None:
        self._change = change
        self._meter = meter
        self._every_s = every_s
        self._late_s = late_s
        self._loop = asyncio.get_running_loop()
        # transport -> mark -> when it was written, oldest first; no longer than until it is late.
        self._expected: dict[str, dict[str, float]] = {transport: {} for transport in TRANSPORTS}
        for transport in TRANSPORTS:
            meter.canary_watches(transport)

    async def run(self, url: str, token: str) -> None:
        """For ever, against the service at `url` with a credential of the reserved user. May be cancelled."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            link = Link(session, url, token, Limits(), renewable=False)
            group.create_task(self._follow("sse", self._stream, link))
            group.create_task(self._follow("poll", self._poll, link))
            group.create_task(self._give_up_in_time())
            while True:
                # First: a change that is already in the snapshot of a stream that opens is no event of it.
                await asyncio.sleep(self._every_s * random.uniform(0.9, 1.1))
                await self._sing()

    async def _sing(self) -> None:
        """One change."""
        mark, began_s = uuid.uuid4().hex, self._loop.time()
        # Before it is written: it may arrive before we know that it was.
        for expected in self._expected.values():
            expected[mark] = began_s
        try:
            await self._change(mark)
        except Unavailable as error:
            for expected in self._expected.values():
                expected.pop(mark, None)
            self._meter.database_error("canary")
            _log.warning("canary-not-changed", reason=str(error))
        else:
            self._meter.canary_changed()

    async def _give_up_in_time(self) -> None:
        """What is late is told when it is, and not at the next change."""
        while True:
            await asyncio.sleep(self._late_s / 4)
            self._give_up()

    def _give_up(self) -> None:
        due_s = self._loop.time() - self._late_s
        for transport, expected in self._expected.items():
            for mark in [mark for mark, written_s in expected.items() if written_s < due_s]:
                del expected[mark]
                self._meter.canary_late(transport)
                _log.error("canary-late", transport=transport, late_s=self._late_s)

    def _heard(self, transport: str, payload: str | bytes) -> None:
        mark = wire.order(wire.decode(payload, wire.OrderChange).order).reason or ""
        written_s = self._expected[transport].pop(mark, None)
        if written_s is not None:
            self._meter.canary_heard(transport, self._loop.time() - written_s)

    async def _follow(self, transport: str, read: Callable[[Link], Awaitable[None]], link: Link) -> None:
        """What is lost is opened again; what is expected meanwhile is late like anything else."""
        while True:
            try:
                await read(link)
            except wire.Malformed as error:
                _log.error("canary-malformed", transport=transport, reason=str(error))
            await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1.5))

    async def _stream(self, link: Link) -> None:
        async def put(heard: Heard) -> None:
            if isinstance(heard, Frame) and heard.name == "order":
                self._heard("sse", heard.payload)

        await stream(link, None, put)

    async def _poll(self, link: Link) -> None:
        cursor: str | None = None
        while True:
            heard = await poll(link, cursor, _HELD_S)
            if isinstance(heard, Polled):
                answer = wire.decode(heard.body, wire.PollAnswer)
                cursor = answer.cursor
                for event in answer.events or ():
                    if event.name == "order":
                        self._heard("poll", bytes(event.payload))
            elif not (isinstance(heard, PollAnswered) and heard.held):
                return
