"""What `watch` says of orders and events, in words that fit into a line of a terminal."""

from datetime import datetime
from decimal import Decimal

from orderstream.client import (
    Check,
    ConnectionChanged,
    Event,
    Execution,
    ExecutionReported,
    Order,
    OrderChanged,
    OrderRemoved,
    SnapshotTaken,
)


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


def fill_bar(order: Order, size: int) -> str:
    """How much of the order is filled; a full bar is only given where all of it is."""
    if not order.quantity or order.quantity.is_nan() or order.filled_quantity is None:
        return " " * size
    share = min(Decimal(1), max(Decimal(0), order.filled_quantity / order.quantity))
    cells = int(share * size)
    return "█" * cells + "░" * (size - cells)


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
                f" filled {number(order.filled_quantity)} average {number(order.average_price)}{_odd(event.check)}"
            )
        case ExecutionReported(execution=execution):
            return f"execution {clean(execution.kind)} {trade(execution)}{_odd(event.check)}"
        case OrderRemoved(order_id=order_id):
            return f"order-removed {clean(order_id)}"
        case SnapshotTaken(orders=orders, reset=reset):
            return f"snapshot of {len(orders)} orders" + (f" after reset {clean(reset)}" if reset else "")
        case ConnectionChanged(connection=connection, cause=cause):
            return f"connection {connection.state}" + (f" ({clean(cause)})" if cause else "")
        case _:
            return type(event).__name__


def _odd(check: Check | None) -> str:
    return "" if check is None else f" {clean(check.verdict)}: {clean(check.rule)}"


def _deal(order: Order) -> str:
    price = "" if order.price is None else f" at {number(order.price)}"
    kind = f"{clean(order.side)} {number(order.quantity)} {clean(order.symbol)}"
    return f"{kind} {clean(order.order_type)}{price}"


def trade(execution: Execution) -> str:
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
