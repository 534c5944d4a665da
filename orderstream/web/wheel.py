"""One timer for all heartbeats: a wheel of slots, each stream in the one that its next beat falls into."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

TICK_S = 0.1
# Streams that were opened together must not beat together for ever.
JITTER = 0.1


class Beating(Protocol):
    """What hangs on the wheel."""

    def beat(self, at: bytes) -> bool:
        """Called once per interval, `at` now (RFC 3339, UTC); False takes it off."""
        ...


class Wheel:
    """Calls `beat` of all that was added, every `interval_s` give or take 10 %."""

    def __init__(
        self,
        interval_s: float,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
        lagged: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`lagged` is told at every tick how late it was: as late as everything else on this loop."""
        self._lagged = lagged
        self._interval_s = interval_s
        self._uniform = uniform
        self._slots: list[list[Beating]] = [[] for _ in range(int(interval_s * (1 + JITTER) / TICK_S) + 2)]
        self._now = 0

    def add(self, beating: Beating) -> None:
        """It beats from now on until it says no; at no more than two intervals' cost after it went."""
        ahead = int(self._interval_s * self._uniform(1 - JITTER, 1 + JITTER) / TICK_S)
        self._slots[(self._now + max(1, ahead)) % len(self._slots)].append(beating)

    def turn(self) -> None:
        """One tick."""
        self._now = (self._now + 1) % len(self._slots)
        due, self._slots[self._now] = self._slots[self._now], []
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        for beating in due:
            if beating.beat(at):
                self.add(beating)

    async def run(self) -> None:
        """Turns for ever, catching up after a stall. May be cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + TICK_S, loop.time() - 10 * TICK_S)
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._lagged(loop.time() - due)
            self.turn()
