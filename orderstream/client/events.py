"""What a feed tells: orders, executions, and the events that change them, typed and frozen.

An order needs an id and a status, and nothing else: a field that the platform leaves out, adds or fills with
something unheard-of must not stop the other orders from being shown.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the platform has it; quantities and prices have exactly the digits that were sent."""

    id: str
    status: str
    version: int = 0
    client_order_id: str | None = None
    original_client_order_id: str | None = None
    symbol: str | None = None
    asset_class: str | None = None
    side: str | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    platform: str | None = None
    quantity: Decimal | None = None
    cash_amount: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    filled_quantity: Decimal | None = None
    remaining_quantity: Decimal | None = None
    average_price: Decimal | None = None
    reason_code: str | None = None
    reason: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A trade report; `refers_to` is the execution that a bust or a correction is about."""

    id: str
    order_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    kind: str | None = None
    refers_to: str | None = None
    executed_at: datetime | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Why a change contradicts itself (impossible), or does not follow from what came before (suspicious)."""

    verdict: str
    rule: str
    text: str


class State(StrEnum):
    """How the feed is connected; drawn as a table in `machine`."""

    CONNECTING = "connecting"
    LIVE = "live"
    POLLING = "polling"
    OFFLINE = "offline"
    SIGNED_OUT = "signed-out"


class Transport(StrEnum):
    """How an event came."""

    SSE = "sse"
    LONG_POLL = "long-poll"


class Connection(msgspec.Struct, frozen=True):
    """The connection's state since `since_at` (aware UTC), by this host's clock."""

    state: State
    transport: Transport | None
    since_at: datetime


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What all events have: `id` is the cursor after it, None where it moves no cursor."""

    id: str | None = None
    transport: Transport | None = None


class OrderChanged(Event, frozen=True, kw_only=True):
    """The whole order after the change, and what was known of it before."""

    order: Order
    previous: Order | None = None
    exec_type: str | None = None
    previous_status: str | None = None
    written_at: datetime | None = None
    check: Check | None = None


class ExecutionReported(Event, frozen=True, kw_only=True):
    """A trade, or the bust or correction of one."""

    execution: Execution
    written_at: datetime | None = None
    check: Check | None = None


class OrderRemoved(Event, frozen=True, kw_only=True):
    """The order is no longer this user's, or was deleted."""

    order_id: str
    order: Order | None = None


class SnapshotTaken(Event, frozen=True, kw_only=True):
    """`feed.orders` was replaced whole. `reset` says why where the server could not go on from our cursor."""

    orders: tuple[Order, ...]
    reset: str | None = None


class ConnectionChanged(Event, frozen=True, kw_only=True):
    """The connection's state or transport is another one now; `cause` is one word for a log."""

    connection: Connection
    cause: str | None = None
