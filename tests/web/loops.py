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

_Test = Callable[..., Coroutine[Any, Any, None]]


def on_both_loops(test: _Test) -> Callable[..., None]:
    """Calls it with an edge, `served`, and what else it asks for."""
    return hurried_on_both_loops()(test)


def hurried_on_both_loops(**times: float) -> Callable[[_Test], Callable[..., None]]:
    """The same, of an edge with these time-outs, which are as short for everything that the test does."""
    return lambda test: _on_both_loops(test, ConnectionSettings(**times))


def _on_both_loops(test: _Test, connections: ConnectionSettings) -> Callable[..., None]:

    @functools.wraps(test)
    def on_one(loop: Callable[[], asyncio.AbstractEventLoop], **others: Any) -> None:
        async def run() -> None:
            async with edge(connections=connections) as served:
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
