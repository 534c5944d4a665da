"""What a follower publishes to, in tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from orderstream.core.events import SequencedEvent
from orderstream.postgres.follower import Follower


class Recorder:
    """A Publisher that keeps what it was told, in order."""

    def __init__(self) -> None:
        self.events: list[SequencedEvent] = []
        self.epochs: list[str] = []
        self.forgot = 0

    def publish(self, batch: Sequence[SequencedEvent]) -> None:
        self.events.extend(batch)

    def renew(self, epoch: str) -> None:
        if epoch not in self.epochs[-1:]:
            self.epochs.append(epoch)

    def forget(self) -> None:
        self.forgot += 1

    @property
    def positions(self) -> list[int]:
        return [event.position for event in self.events]


@asynccontextmanager
async def following(follower: Follower) -> AsyncIterator[Follower]:
    """It runs meanwhile, and is connected from the start."""
    task = asyncio.create_task(follower.run())
    try:
        await asyncio.wait_for(follower.connected.wait(), 30)
        yield follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
