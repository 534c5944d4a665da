"""The status page of the admin port, and `GET /status/stream`, which tells it once a second how things are.

Readings are made for whoever waits for the next one, once for all of them; when nobody looks nothing runs.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from importlib.resources import files

import msgspec
from aiohttp import web

from orderstream.errors import Overloaded
from orderstream.web.pages import add_page
from orderstream.web.stream import EventStreamResponse

# More than so many are no people.
MAX_VIEWERS = 32
EVERY_S = 1.0
# As many seconds as the plots show, 2 KB each.
_KEPT = 120

# Gives the next reading, compared to those before it.
Look = Callable[[], msgspec.Struct]


class Readings:
    """One each `every_s`, in JSON, for as long as somebody waits for it, and those that were made of late."""

    def __init__(self, look: Look, every_s: float) -> None:
        self.kept: deque[bytes] = deque(maxlen=_KEPT)
        self._look = look
        self._every_s = every_s
        self._due_s = 0.0
        self._coming: asyncio.Task[bytes] | None = None
        self._ended = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    async def next(self) -> bytes:
        """The same one for all who wait. May be cancelled."""
        if self._coming is None or self._coming.done():
            self._coming = asyncio.create_task(self._read())
        return await asyncio.shield(self._coming)

    async def end(self) -> None:
        """Tells those who wait one last reading, now: else a stop would wait for them until its time-out."""
        self._ended.set()
        if self._coming is not None:
            await self._coming

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), self._due_s - loop.time())
        self._due_s = loop.time() + self._every_s
        reading = msgspec.json.encode(self._look())
        self.kept.append(reading)
        return reading


def add_status(app: web.Application, look: Look, every_s: float) -> None:
    """A `look` must not block."""
    readings = Readings(look, every_s)
    seats = asyncio.Semaphore(MAX_VIEWERS)

    async def stream(request: web.Request) -> web.StreamResponse:
        if seats.locked():
            raise Overloaded(f"{MAX_VIEWERS} look at the status already", retry_after_s=10.0)
        async with seats:
            response = EventStreamResponse()
            await response.prepare(request)
            await readings.next()
            # A page that is opened, or comes back, begins with what others saw.
            told = [*readings.kept]
            # Ends by being cancelled when the viewer is gone.
            while True:
                await response.write(b"data: [" + b",".join(told) + b"]\n\n")
                if readings.ended:
                    return response
                told = [await readings.next()]

    async def end(_: web.Application) -> None:
        await readings.end()

    app.on_shutdown.append(end)
    app.add_routes([web.get("/status/stream", stream, allow_head=False)])
    add_page(app, files(__package__) / "static" / "status", ["/"], under="/status")
