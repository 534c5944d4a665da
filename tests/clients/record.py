"""What a client reported, in the order in which it did."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from orderstream.core.cursor import parse_cursor
from tests.waiting import PATIENCE_S

NUMBERED = ("order", "execution", "order-removed")


class Seen(msgspec.Struct):
    """An event of the stream, or `open`, `connecting`, `closed` of an EventSource; `id` as the client has it."""

    name: str
    id: str = ""
    body: str = ""
    # Of the test's loop, in seconds.
    at_s: float = 0.0


class Record:
    """A list of what was Seen, and questions about it."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._grew = asyncio.Event()

    def tell(self, fields: Any) -> None:
        """Takes `{name, id, body}` as a client reports it."""
        seen = msgspec.convert(fields, Seen)
        seen.at_s = asyncio.get_running_loop().time()
        self.seen.append(seen)
        self._grew.set()

    @property
    def names(self) -> list[str]:
        return [seen.name for seen in self.seen]

    @property
    def seqs(self) -> list[int]:
        """Of the numbered events, in the order in which they came."""
        cursors = [parse_cursor(seen.id) for seen in self.seen if seen.name in NUMBERED]
        return [cursor.seq for cursor in cursors if cursor is not None]

    async def has(self, name: str, count: int = 1) -> None:
        """Returns once it was seen so often."""
        await self._until(lambda: self.names.count(name) >= count)

    async def has_seq(self, seq: int) -> None:
        """Returns once the event of that number, or a later one, was seen."""
        await self._until(lambda: any(last >= seq for last in self.seqs[-1:]))

    async def _until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    self._grew.clear()
                    await self._grew.wait()
        except TimeoutError:
            pytest.fail(f"did not come; the last that did: {self.seen[-5:]}")
