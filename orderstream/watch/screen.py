"""The table that `watch` shows, as wide or as narrow as the terminal is.

Ages are counted here, from when an event was read; only where nothing was read yet, and in `written to received`, a
time of the database's clock is subtracted from ours, and the screen says so.
"""

from collections import deque
from datetime import UTC, datetime

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from orderstream.client import (
    ConnectionChanged,
    Event,
    Execution,
    ExecutionReported,
    Feed,
    Order,
    OrderChanged,
    OrderRemoved,
    SnapshotTaken,
    State,
)
from orderstream.watch.words import age, clean, fill_bar, lag_ms, number, trade

EXECUTIONS_SHOWN = 6
# Header, both tables' heads, borders and a line to breathe.
_FRAME_ROWS = 10
# What all columns take, with eight decimals in an average; a narrower terminal, such as one of 80 x 24, gets the rest.
_WIDE_COLUMNS = 120
_BAR_CELLS = 8
_NARROW_BAR_CELLS = 4

# Column -> its alignment, in the order of the table.
_COLUMNS: dict[str, JustifyMethod] = {
    "symbol": "left",
    "side": "left",
    "type": "left",
    "quantity": "right",
    "price": "right",
    "status": "left",
    "filled": "right",
    "average": "right",
    "changed": "right",
}
_WIDE_ONLY = {"type", "average"}

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


class Screen:
    """What the terminal shows of a feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._executions: deque[tuple[Execution, datetime]] = deque(maxlen=EXECUTIONS_SHOWN)
        self._read_at: dict[str, datetime] = {}
        self._last_at: datetime | None = None
        self._lag_ms: float | None = None

    def take(self, event: Event, now: datetime) -> None:
        match event:
            case ConnectionChanged():
                return
            case OrderChanged(order=order):
                self._read_at[order.id] = now
            case OrderRemoved(order_id=order_id):
                self._read_at.pop(order_id, None)
            case ExecutionReported(execution=execution):
                self._executions.appendleft((execution, now))
            case SnapshotTaken(orders=orders):
                kept = {order.id for order in orders}
                self._read_at = {id: at for id, at in self._read_at.items() if id in kept}
        self._last_at = now
        lag = lag_ms(event, now)
        self._lag_ms = self._lag_ms if lag is None else lag

    def render(self, now: datetime, width: int, height: int) -> RenderableType:
        """A picture for a terminal of `width` columns and `height` rows."""
        wide = width >= _WIDE_COLUMNS
        rows = max(1, height - _FRAME_ROWS - len(self._executions))
        return Group(self._header(now, wide), self._orders(now, rows, wide), self._trades(now))

    def _header(self, now: datetime, wide: bool) -> Text:
        connection = self._feed.connection
        since = age((now - connection.since_at).total_seconds())
        last = "none yet" if self._last_at is None else f"{age((now - self._last_at).total_seconds())} ago"
        state = (f"{connection.state} ", _STATE_STYLE[connection.state])
        transport = connection.transport or ""
        if not wide:
            lag = "" if self._lag_ms is None else f" · {self._lag_ms:.1f} ms after write (both clocks)"
            told = f"{transport} {since} · event {last}{lag}".lstrip()
            return Text.assemble(state, told, no_wrap=True, overflow="ellipsis")
        by = f"by {transport} " if transport else ""
        lag = "" if self._lag_ms is None else f" · written to received {self._lag_ms:.1f} ms (clock of both hosts)"
        told = f"{by}for {since} · cursor {self._feed.cursor or 'none'} · last event {last}{lag}"
        return Text.assemble(state, told, overflow="fold")

    def _changed_at(self, order: Order) -> datetime | None:
        at = self._read_at.get(order.id) or order.updated_at
        return at if at is not None and at.tzinfo is not None else None

    def _orders(self, now: datetime, rows: int, wide: bool) -> Table:
        newest = sorted(self._feed.orders.values(), key=self._newest, reverse=True)
        table = _empty_table(wide)
        for order in newest[:rows]:
            table.add_row(*self._row(order, now, wide))
        hidden = len(newest) - rows
        table.caption = f"and {hidden} more" if hidden > 0 else None
        return table

    def _newest(self, order: Order) -> tuple[datetime, str]:
        return self._changed_at(order) or datetime.min.replace(tzinfo=UTC), order.id

    def _row(self, order: Order, now: datetime, wide: bool) -> list[RenderableType]:
        at = self._changed_at(order)
        cells: dict[str, RenderableType] = {
            "symbol": Text(clean(order.symbol), "bold"),
            "side": Text(clean(order.side)),
            "type": Text(clean(order.order_type)),
            "quantity": number(order.quantity),
            "price": number(order.price),
            "status": _status(order, wide),
            "filled": number(order.filled_quantity),
            "average": number(order.average_price),
            "changed": "-" if at is None else age((now - at).total_seconds()),
        }
        return [cells[name] for name in _columns(wide)]

    def _trades(self, now: datetime) -> RenderableType:
        lines = [
            Text(f"{age((now - at).total_seconds()):>6}  {clean(execution.kind)} {trade(execution)}")
            for execution, at in self._executions
        ]
        return Group(Text("latest executions", "dim"), *(lines or [Text("none yet", "dim")]))


def _columns(wide: bool) -> list[str]:
    return [name for name in _COLUMNS if wide or name not in _WIDE_ONLY]


def _empty_table(wide: bool) -> Table:
    table = Table(expand=True) if wide else Table(expand=True, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in _columns(wide):
        # Where room is short the status gives way: a cut price or side would be another order.
        table.add_column(name, justify=_COLUMNS[name], no_wrap=name != "status")
    return table


def _status(order: Order, wide: bool) -> Text:
    bar = fill_bar(order, _BAR_CELLS if wide else _NARROW_BAR_CELLS)
    style = _STATUS_STYLE.get(order.status, "white")
    return Text(f"{bar} {clean(order.status).replace('_', ' ')}", style, no_wrap=True, overflow="ellipsis")
