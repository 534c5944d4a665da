"""Follows a user's orders in the terminal: a table that moves, or one line an event where there is no terminal.

Ages are counted here, from when an event was read; only where nothing was read yet, and in `written to shown`, a time
of the database's clock is subtracted from ours, and the screen says so.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orderstream.client import (
    ConnectionChanged,
    Event,
    Execution,
    ExecutionReported,
    Feed,
    FeedEnded,
    Order,
    OrderChanged,
    OrderRemoved,
    SignedOut,
    SnapshotTaken,
    State,
)

EXECUTIONS_SHOWN = 6
# Header, both tables' heads, borders and a line to breathe.
_FRAME_ROWS = 10
# Bursts are painted together: an eye sees 20 pictures a second, a terminal over ssh not many more.
_PAINT_PAUSE_S = 0.05
# Ages are shown in whole seconds.
_TICK_S = 1.0
_BAR_CELLS = 8

_STATUS_STYLE = {
    "filled": "green",
    "partially_filled": "cyan",
    "submitted": "blue",
    "pending_new": "yellow",
    "pending_cancel": "yellow",
    "pending_replace": "yellow",
    "rejected": "bold red",
    "cancelled": "bright_black",
    "expired": "bright_black",
}
_STATE_STYLE = {
    State.LIVE: "bold green",
    State.POLLING: "bold yellow",
    State.CONNECTING: "yellow",
    State.OFFLINE: "bold red",
    State.SIGNED_OUT: "bold red",
}


def clean(text: str | None) -> str:
    """For a terminal: what the platform wrote must not move its cursor or change its title."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text or "-")


def number(value: Decimal | None) -> str:
    """All its digits, never an exponent."""
    return "-" if value is None else f"{value:f}"


def age(seconds: float) -> str:
    """`2 s`, `3 min`, `4 h`, `5 d`; a clock that runs ahead of ours gives `0 s`."""
    whole = max(0, int(seconds))
    for limit, unit_s, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if whole < limit:
            return f"{whole // unit_s} {unit}"
    return f"{whole // 86_400} d"


def fill_bar(order: Order) -> str:
    """How much of the order is filled; a full bar is only given where all of it is."""
    if not order.quantity or order.quantity.is_nan() or order.filled_quantity is None:
        return " " * _BAR_CELLS
    share = min(Decimal(1), max(Decimal(0), order.filled_quantity / order.quantity))
    cells = int(share * _BAR_CELLS)
    return "█" * cells + "░" * (_BAR_CELLS - cells)


def line(event: Event, now: datetime) -> str:
    """One event as one line: when it was read, how it came, the cursor, and what happened."""
    head = f"{now:%H:%M:%S}.{now.microsecond // 1000:03d} {event.transport or '-'} {event.id or '-'}"
    return f"{head} {_what(event)}{_lag(event, now)}"


def _what(event: Event) -> str:
    match event:
        case OrderChanged(order=order):
            why = f" ({clean(order.reason_code)})" if order.reason_code else ""
            return (
                f"order {clean(order.id)} {_deal(order)} {clean(order.status)}{why}"
                f" filled {number(order.filled_quantity)} average {number(order.average_price)}"
            )
        case ExecutionReported(execution=execution):
            return f"execution {clean(execution.kind)} {_trade(execution)}"
        case OrderRemoved(order_id=order_id):
            return f"order-removed {clean(order_id)}"
        case SnapshotTaken(orders=orders, reset=reset):
            return f"snapshot of {len(orders)} orders" + (f" after reset {clean(reset)}" if reset else "")
        case ConnectionChanged(connection=connection, cause=cause):
            return f"connection {connection.state}" + (f" ({clean(cause)})" if cause else "")
        case _:
            return type(event).__name__


def _deal(order: Order) -> str:
    price = "" if order.price is None else f" at {number(order.price)}"
    kind = f"{clean(order.side)} {number(order.quantity)} {clean(order.symbol)}"
    return f"{kind} {clean(order.order_type)}{price}"


def _trade(execution: Execution) -> str:
    traded = f"{number(execution.quantity)} {clean(execution.symbol)} at {number(execution.price)}"
    return f"{clean(execution.side)} {traded}"


def lag_ms(event: Event, now: datetime) -> float | None:
    """From the database's clock at the write to ours now; None for an event that was not written."""
    written_at = event.written_at if isinstance(event, OrderChanged | ExecutionReported) else None
    if written_at is None or written_at.tzinfo is None:
        return None
    return (now - written_at).total_seconds() * 1000


def _lag(event: Event, now: datetime) -> str:
    lag = lag_ms(event, now)
    return "" if lag is None else f" {lag:.1f} ms after its write (clock of both hosts)"


class Screen:
    """What the terminal shows of a feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._executions: deque[tuple[Execution, datetime]] = deque(maxlen=EXECUTIONS_SHOWN)
        self._read_at: dict[str, datetime] = {}
        self._last_at: datetime | None = None
        self._unshown: Event | None = None
        self._lag_ms: float | None = None

    def take(self, event: Event, now: datetime) -> None:
        match event:
            case OrderChanged(order=order):
                self._read_at[order.id] = now
            case OrderRemoved(order_id=order_id):
                self._read_at.pop(order_id, None)
            case ExecutionReported(execution=execution):
                self._executions.appendleft((execution, now))
            case SnapshotTaken(orders=orders):
                kept = {order.id for order in orders}
                self._read_at = {id: at for id, at in self._read_at.items() if id in kept}
        if not isinstance(event, ConnectionChanged):
            self._last_at = now
            self._unshown = event

    def shown(self, now: datetime) -> None:
        """Call it when the terminal has the picture: only then was the latest event shown."""
        if self._unshown is not None:
            lag = lag_ms(self._unshown, now)
            self._lag_ms = self._lag_ms if lag is None else lag
            self._unshown = None

    def render(self, now: datetime, height: int) -> RenderableType:
        rows = max(1, height - _FRAME_ROWS - len(self._executions))
        return Group(self._header(now), self._orders(now, rows), self._trades(now))

    def _header(self, now: datetime) -> Text:
        connection = self._feed.connection
        since = age((now - connection.since_at).total_seconds())
        last = "none yet" if self._last_at is None else f"{age((now - self._last_at).total_seconds())} ago"
        lag = "" if self._lag_ms is None else f" · written to shown {self._lag_ms:.1f} ms (clock of both hosts)"
        state = (f"{connection.state} ", _STATE_STYLE[connection.state])
        transport = f"by {connection.transport} " if connection.transport else ""
        cursor = self._feed.cursor or "none"
        return Text.assemble(
            state, f"{transport}for {since} · cursor {cursor} · last event {last}{lag}", overflow="fold"
        )

    def _changed_at(self, order: Order) -> datetime | None:
        at = self._read_at.get(order.id) or order.updated_at
        return at if at is not None and at.tzinfo is not None else None

    def _orders(self, now: datetime, rows: int) -> Table:
        table = Table(expand=True, title_justify="left")
        for name in ("symbol", "side", "type"):
            table.add_column(name, no_wrap=True)
        for name in ("quantity", "price"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("status", no_wrap=True, min_width=_BAR_CELLS + 9)
        for name in ("filled", "average", "changed"):
            table.add_column(name, justify="right", no_wrap=True)
        newest = sorted(self._feed.orders.values(), key=self._newest, reverse=True)
        for order in newest[:rows]:
            table.add_row(*self._row(order, now))
        hidden = len(newest) - rows
        table.caption = f"and {hidden} more" if hidden > 0 else None
        return table

    def _newest(self, order: Order) -> tuple[datetime, str]:
        return self._changed_at(order) or datetime.min.replace(tzinfo=UTC), order.id

    def _row(self, order: Order, now: datetime) -> list[RenderableType]:
        at = self._changed_at(order)
        style = _STATUS_STYLE.get(order.status, "white")
        return [
            Text(clean(order.symbol), "bold"),
            Text(clean(order.side)),
            Text(clean(order.order_type)),
            number(order.quantity),
            number(order.price),
            Text(f"{fill_bar(order)} {clean(order.status).replace('_', ' ')}", style),
            number(order.filled_quantity),
            number(order.average_price),
            "-" if at is None else age((now - at).total_seconds()),
        ]

    def _trades(self, now: datetime) -> RenderableType:
        lines = [
            Text(f"{age((now - at).total_seconds()):>6}  {clean(execution.kind)} {_trade(execution)}")
            for execution, at in self._executions
        ]
        return Group(Text("latest executions", "dim"), *(lines or [Text("none yet", "dim")]))


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
    async for event in feed:
        sys.stdout.write(line(event, datetime.now(UTC)) + "\n")
        sys.stdout.flush()


async def _table(feed: Feed, console: Console) -> None:
    screen, changed = Screen(feed), asyncio.Event()
    with Live(console=console, auto_refresh=False, screen=False) as live:
        painting = asyncio.create_task(_paint(screen, changed, live))
        try:
            async for event in feed:
                screen.take(event, datetime.now(UTC))
                changed.set()
        finally:
            painting.cancel()


async def _paint(screen: Screen, changed: asyncio.Event, live: Live) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _TICK_S)
        changed.clear()
        live.update(screen.render(datetime.now(UTC), live.console.size.height), refresh=True)
        screen.shown(datetime.now(UTC))
        await asyncio.sleep(_PAINT_PAUSE_S)
