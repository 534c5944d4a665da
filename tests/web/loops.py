"""Tests of connections that are handed over, on both loops, which call protocols each in their own way."""

import asyncio
import functools
import gc
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from aiohttp import web

from orderstream.web.connection import Connection, ConnectionSettings
from tests.web.edge import edge


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Calls it with an edge, `served`, and what else it asks for."""

    @functools.wraps(test)
    def on_one(loop: Callable[[], asyncio.AbstractEventLoop], **others: Any) -> None:
        async def run() -> None:
            quick = ConnectionSettings(send_timeout_s=0.5, keepalive_timeout_s=1.0)
            async with edge(connections=quick) as served:
                await test(served, **others)

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(run())

    signature = inspect.signature(test)
    loop, *_ = inspect.signature(on_one, follow_wrapped=False).parameters.values()
    parameters = [loop, *list(signature.parameters.values())[1:]]
    on_one.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    return pytest.mark.parametrize("loop", loops, ids=["asyncio", "uvloop"])(on_one)


def of_aiohttp() -> set[int]:
    """What there is of its connections, requests and responses."""
    kinds = Connection | web.Request | web.StreamResponse
    return {id(one) for one in gc.get_objects() if isinstance(one, kinds)}
