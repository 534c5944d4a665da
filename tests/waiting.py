"""Waiting for a condition, with a deadline, instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], T], *, within_s: float = 15.0) -> T:
    """What `condition` gives once it is true; fails where it is not within `within_s`. It may block shortly."""

    async def ask() -> T:
        return condition()

    return await eventually_asked(ask, within_s=within_s)


async def eventually_asked(ask: Callable[[], Awaitable[T]], *, within_s: float = 15.0) -> T:
    """The same of what must be awaited, such as an answer."""
    deadline = time.monotonic() + within_s
    while not (found := await ask()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.005)
    return found
