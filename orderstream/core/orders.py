"""The documents that clients read: orders, executions, and what events, lists and polls say of them.

Nobody builds an order from these at run time: its text comes finished out of the database (migrations/orderstream) and
is passed on as it is. These types say what that text is, to `/openapi.json` and to the tests that hold real answers
against them. Vocabularies are documented and left open: what an order service writes is streamed, never refused.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from orderstream.core.reasons import REASONS


def _said(description: str, **more: Any) -> Meta:
    return Meta(description=description, extra_json_schema=more or None)


def _one_of(description: str, *known: str) -> Meta:
    # Not `enum`, which a client generated from the description would enforce.
    return _said(description, **{"x-extensible-enum": list(known)})


Cursor = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{8}\.(0|[1-9][0-9]{0,18})$",
        description="How far a client knows its events, on every transport. Store it and send it back; it is opaque.",
    ),
]
At = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
        description="RFC 3339, UTC, microseconds.",
        extra_json_schema={"format": "date-time"},
    ),
]
# Not Decimal, which msgspec describes as a string.
Exact = Annotated[
    float, _said("A number whose text is exact, and may have more digits than a double.", format="decimal")
]
Side = Annotated[str, _one_of("Which way.", "buy", "sell")]
Status = Annotated[
    str,
    _one_of(
        "FIX OrdStatus; `submitted` is FIX New.",
        "pending_new", "submitted", "partially_filled", "filled", "done_for_day", "pending_cancel", "cancelled",
        "pending_replace", "stopped", "suspended", "calculated", "rejected", "expired",
    ),
]  # fmt: skip
ExecType = Annotated[
    str,
    _one_of(
        "FIX ExecType: what happened. As the order service says, else derived from the change.",
        "new", "trade", "trade_cancel", "trade_correct", "replaced", "restated", "pending_new", "done_for_day",
        "pending_cancel", "cancelled", "pending_replace", "stopped", "suspended", "calculated", "rejected", "expired",
    ),
]  # fmt: skip
ResetReason = Literal["cursor-malformed", "cursor-ahead", "cursor-expired", "epoch-changed"]


class Order(msgspec.Struct, frozen=True):
    """An order as it is now. Ignore fields that you do not know, and show a status that you do not know as it is."""

    id: str
    client_order_id: Annotated[str | None, _said("The client's own name for it.")]
    original_client_order_id: Annotated[
        str | None, _said("FIX OrigClOrdID: the name it had before the request that `client_order_id` names.")
    ]
    symbol: str
    asset_class: Annotated[str, _one_of("What is traded.", "stock", "etf", "mutual_fund", "crypto")]
    side: Side
    order_type: Annotated[str, _one_of("How it is priced.", "market", "limit", "stop", "stop_limit")]
    time_in_force: Annotated[str, _one_of("How long it is good.", "day", "gtc", "ioc", "fok")]
    platform: Annotated[str, _one_of("Where it was placed.", "mobile", "web")]
    quantity: Annotated[Exact | None, _said("Null while an order for `cash_amount` has none.")]
    cash_amount: Annotated[Exact | None, _said("FIX CashOrderQty: the money to buy or sell for.")]
    price: Exact | None
    stop_price: Exact | None
    filled_quantity: Exact
    remaining_quantity: Annotated[
        Exact | None, _said("0 once the order has ended; one that is done for the day and good for longer has not.")
    ]
    average_price: Exact | None
    status: Status
    reason_code: Annotated[
        str | None, _one_of("Why it was refused, cancelled or ended; or the service's own.", *REASONS)
    ]
    reason: Annotated[str | None, _said("The same in the order service's words; clients have words for known codes.")]
    version: Annotated[int, Meta(ge=1, description="Counts the order's changes: of two, the larger is newer.")]
    created_at: At
    updated_at: At


class Execution(msgspec.Struct, frozen=True):
    """A trade report. Only ever added to: a bust or a correction is one more."""

    id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Exact
    price: Exact | None
    kind: Annotated[str, _one_of("What it reports.", "trade", "bust", "correction")]
    refers_to: Annotated[str | None, _said("The execution that a bust or a correction is about.")]
    executed_at: At


class OrderList(msgspec.Struct, frozen=True):
    """A page of orders, newest first; `cursor` is never newer than they are."""

    orders: list[Order]
    cursor: Cursor
    next: Annotated[str | None, _said("The `page` that follows; null on the last one.")]


class NetExecuted(msgspec.Struct, frozen=True):
    """What the executions come to, with busts and corrections taken into account."""

    quantity: Exact
    average_price: Annotated[Exact | None, _said("To ten decimals; null for nothing, or where a price is missing.")]


class OrderWithExecutions(msgspec.Struct, frozen=True):
    """One order and its executions, oldest first."""

    order: Order
    executions: list[Execution]
    net: Annotated[NetExecuted | None, _said("Null where a quantity is not a number.")]
    client_order_ids: Annotated[
        list[str], _said("The names that it had, up to `client_order_id`, as far as its events are kept.")
    ]


class ExecutionList(msgspec.Struct, frozen=True):
    """A page of executions, newest first."""

    executions: list[Execution]
    next: Annotated[str | None, _said("The `page` that follows; null on the last one.")]


class Check(msgspec.Struct, frozen=True):
    """Why a change is odd: it contradicts itself, or what came before it. It happened all the same."""

    verdict: Annotated[str, _one_of("How odd.", "suspicious", "impossible")]
    rule: Annotated[str, _said("The name of the rule that is broken.")]
    text: Annotated[str, _said("What the rule says, in words.")]


class OrderData(msgspec.Struct, frozen=True):
    """`order`: the whole order after a change. Apply it unless you know a larger `version`."""

    order: Order
    exec_type: ExecType
    previous_status: Annotated[Status | None, _said("Null where the order is new to this user.")]
    written_at: At
    check: Check | UnsetType = UNSET


class ExecutionData(msgspec.Struct, frozen=True):
    """`execution`: a new one, or one that was repaired and is told again under its id."""

    execution: Execution
    written_at: At
    check: Check | UnsetType = UNSET


class OrderRemovedData(msgspec.Struct, frozen=True):
    """`order-removed`: the order is gone, and its executions with it."""

    order_id: str


class SnapshotData(msgspec.Struct, frozen=True):
    """`snapshot`: a part of the user's orders, newest first. The snapshot is whole only with `snapshot-end`."""

    orders: Annotated[list[Order], Meta(max_length=50)]


class SnapshotEndData(msgspec.Struct, frozen=True):
    """`snapshot-end`: the snapshot is whole, and the client's cursor may move to this one."""

    cursor: Cursor
    orders: Annotated[int, Meta(ge=0, description="How many there were.")]


class LiveData(msgspec.Struct, frozen=True):
    """`live`: replay is over."""

    head: Cursor


class HeartbeatData(msgspec.Struct, frozen=True):
    """`heartbeat`: a client that knows less than `head` missed something, and should come back with its cursor."""

    head: Cursor
    at: At


class ResetData(msgspec.Struct, frozen=True):
    """`reset`: the cursor cannot be continued from; a snapshot follows."""

    reason: ResetReason


class AuthExpiringData(msgspec.Struct, frozen=True):
    """`auth-expiring`: the credential ends soon, and the stream with it."""

    expires_in_s: Annotated[int, Meta(ge=0)]


class GoawayData(msgspec.Struct, frozen=True):
    """`goaway`: the stream ends. Come back after `after_ms` if `reconnect`, else only when the user asks for it."""

    reason: Annotated[
        str,
        _one_of(
            "Why.", "drain", "auth-expired", "session-revoked", "overload", "too-many-connections", "slow-consumer"
        ),
    ]
    reconnect: bool
    after_ms: Annotated[int, Meta(ge=0)]


class PolledOrder(msgspec.Struct, frozen=True, tag_field="event", tag="order"):
    """An order changed."""

    id: Cursor
    data: OrderData


class PolledExecution(msgspec.Struct, frozen=True, tag_field="event", tag="execution"):
    """An execution was reported."""

    id: Cursor
    data: ExecutionData


class PolledOrderRemoved(msgspec.Struct, frozen=True, tag_field="event", tag="order-removed"):
    """An order is gone."""

    id: Cursor
    data: OrderRemovedData


class PolledEvents(msgspec.Struct, frozen=True):
    """What came after the tag that was sent; `more`: ask again at once."""

    cursor: Cursor
    events: list[PolledOrder | PolledExecution | PolledOrderRemoved]
    more: bool


class OrderHistory(msgspec.Struct, frozen=True):
    """What happened to one order and is kept, oldest first."""

    events: list[PolledOrder | PolledExecution | PolledOrderRemoved]
    next: Annotated[str | None, _said("The `page` that follows; null on the last one.")]


class PolledSnapshot(msgspec.Struct, frozen=True):
    """The user's orders; where `reset` is, no events can be had after the tag that was sent."""

    cursor: Cursor
    orders: list[Order]
    executions: Annotated[list[Execution], Meta(max_length=0, description="Always empty: executions come as events.")]
    reset: ResetReason | UnsetType = UNSET


class EventKind(msgspec.Struct, frozen=True):
    """What a stream's `event` is called, what its `data` is, and whether it has an `id`."""

    name: str
    data: type[msgspec.Struct]
    has_id: bool = False


EVENT_KINDS = (
    EventKind("order", OrderData, has_id=True),
    EventKind("execution", ExecutionData, has_id=True),
    EventKind("order-removed", OrderRemovedData, has_id=True),
    EventKind("snapshot", SnapshotData),
    EventKind("snapshot-end", SnapshotEndData, has_id=True),
    EventKind("live", LiveData),
    EventKind("heartbeat", HeartbeatData),
    EventKind("reset", ResetData),
    EventKind("auth-expiring", AuthExpiringData),
    EventKind("goaway", GoawayData),
)
