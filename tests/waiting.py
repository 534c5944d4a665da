"""Waiting for a condition, with a deadline, instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], T | Awaitable[T]], *, within_s: float = 30.0) -> T:
    """What `condition` gives once it is true; fails where it is not within `within_s`. It may block shortly, or be a
    coroutine function."""
    deadline = time.monotonic() + within_s
    while not (found := await _given(condition)):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.005)
    return found


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
    done, _ = await asyncio.wait([working], timeout=20)
    working.cancel()
    return bool(done) and working.cancelled()
