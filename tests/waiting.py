"""Waiting for a condition, with a deadline, instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# How long a test waits for what should take a moment: only what is broken takes so long, and a machine under load is
# slow. Less than a poll is held that a test is sure did not wait out its time.
PATIENCE_S = 40.0


async def eventually(condition: Callable[[], T | Awaitable[T]], *, within_s: float = PATIENCE_S) -> T:
    """What `condition` gives once it is true; fails where it is not within `within_s`. It may block shortly, or be a
    coroutine function."""
    deadline = time.monotonic() + within_s
    while not (found := await _given(condition)):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.005)
    return found


def let_pass(seconds: float) -> None:
    """So much time has passed at once, for what waits on this loop: its timers that are due by then come next. For
    asyncio's own loop; uvloop keeps its own time."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


async def _given(condition: Callable[[], T | Awaitable[T]]) -> T:
    given = condition()
    return await given if inspect.isawaitable(given) else given


async def heeds_cancelling(working: asyncio.Future[None], turns: int) -> bool:
    """Whether work on a socket ends when it is cancelled so many turns of the loop after an answer arrived."""
    await asyncio.sleep(0)
    time.sleep(0.02)  # The loop stands still until the answer is there.
    for _ in range(turns):
        await asyncio.sleep(0)
    working.cancel()
    done, _ = await asyncio.wait([working], timeout=PATIENCE_S)
    working.cancel()
    return bool(done) and working.cancelled()
