"""Follows a user's orders in the terminal: a table that moves, or one line an event where there is no terminal."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live

from orderstream.client import Feed, FeedEnded, SignedOut
from orderstream.watch.screen import Screen
from orderstream.watch.words import line

# Bursts are painted together: an eye sees 20 pictures a second, a terminal over ssh not many more.
_PAINT_PAUSE_S = 0.05
# Ages are shown in whole seconds.
_TICK_S = 1.0


async def main(url: str, token: str, *, plain: bool = False) -> int:
    """The command's exit status: 0 after Ctrl-C, 2 for a refused token, 1 where the server ended the feed."""
    feed = Feed(url, token)
    console = Console()
    shows = _lines(feed) if plain or not console.is_terminal else _table(feed, console)
    following = asyncio.create_task(shows)
    with _leaving(following.cancel):
        try:
            await asyncio.wait([following])
        finally:
            following.cancel()
    return _status(following)


def _status(following: asyncio.Task[None]) -> int:
    if following.cancelled():
        return 0
    match following.exception():
        case None:
            return 0
        case BrokenPipeError():
            # `watch | head`: the reader has seen enough. What is still buffered would fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        case FeedEnded() as error:
            sys.stderr.write(f"orderstream watch: {error}\n")
            return 2 if isinstance(error, SignedOut) else 1
        case error:
            raise error


@contextlib.contextmanager
def _leaving(leave: Callable[[], object]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for each in signals:
        loop.add_signal_handler(each, leave)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


async def _lines(feed: Feed) -> None:
    async with contextlib.aclosing(aiter(feed)) as events:
        async for event in events:
            sys.stdout.write(line(event, datetime.now(UTC)) + "\n")
            sys.stdout.flush()


async def _table(feed: Feed, console: Console) -> None:
    screen, changed = Screen(feed), asyncio.Event()
    with Live(console=console, auto_refresh=False, screen=False) as live:
        painting = asyncio.create_task(_paint(screen, changed, live))
        try:
            async with contextlib.aclosing(aiter(feed)) as events:
                async for event in events:
                    screen.take(event, datetime.now(UTC))
                    changed.set()
        finally:
            painting.cancel()


async def _paint(screen: Screen, changed: asyncio.Event, live: Live) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _TICK_S)
        changed.clear()
        live.update(screen.render(datetime.now(UTC), *live.console.size), refresh=True)
        await asyncio.sleep(_PAINT_PAUSE_S)
