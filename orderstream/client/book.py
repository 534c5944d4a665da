"""The orders as we know them, and the cursor that says how much that is; both transports write here.

An event is applied when its seq is the next one, skipped when it is not above the cursor (the other
transport brought it, or a replay did), and a hole otherwise: then nothing is applied and somebody must
fetch again. An order event that a snapshot already contained moves the cursor but is not told, which its
`version` shows: the cursor of a snapshot is read before its orders are.
"""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from orderstream.client import wire
from orderstream.client.events import (
    Event,
    ExecutionReported,
    Order,
    OrderChanged,
    OrderRemoved,
    SnapshotTaken,
    Transport,
)
from orderstream.client.wire import Cursor

# A snapshot older than what we were told brings back only the last few executions: this is plenty.
EXECUTIONS_REMEMBERED = 1000


class Hole(Exception):
    """An event is missing between our cursor and what came."""


class Book:
    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.cursor: Cursor | None = None
        self.malformed = 0
        self._executions: OrderedDict[str, None] = OrderedDict()

    def forget(self) -> None:
        """The next connection starts from a snapshot; the orders stay until it is here."""
        self.cursor = None

    def snapshot(
        self, orders: Iterable[Order], cursor: Cursor, transport: Transport, reset: str | None
    ) -> SnapshotTaken | None:
        """None where it says nothing new: the other transport was faster, or this server lags."""
        known = self.cursor
        if reset is None and known is not None and known.epoch == cursor.epoch and known.seq >= cursor.seq:
            return None
        self.orders = {order.id: order for order in orders}
        self.cursor = cursor
        return SnapshotTaken(id=str(cursor), transport=transport, orders=tuple(self.orders.values()), reset=reset)

    def apply(self, name: str, id: str | None, payload: str | msgspec.Raw, transport: Transport) -> Event | None:
        """What is to be told of a numbered event. Raises Hole, wire.Malformed; the book is then as it was."""
        cursor = wire.cursor(id)
        if self.cursor is None:
            raise Hole
        if not self.cursor.is_behind(cursor):
            return None
        if not self.cursor.precedes(cursor):
            raise Hole
        event = self._event(name, str(cursor), payload, transport)
        self.cursor = cursor
        return event

    def _event(self, name: str, id: str, payload: str | msgspec.Raw, transport: Transport) -> Event | None:
        match name:
            case "order":
                return self._order(id, wire.decode(payload, wire.OrderChange), transport)
            case "execution":
                return self._execution(id, wire.decode(payload, wire.ExecutionReport), transport)
            case "order-removed":
                order_id = wire.decode(payload, wire.Removal).order_id
                previous = self.orders.pop(order_id, None)
                return OrderRemoved(id=id, transport=transport, order_id=order_id, order=previous)
            case _:
                # Of a later protocol: not ours to understand, but it has its number.
                return None

    def _order(self, id: str, change: wire.OrderChange, transport: Transport) -> OrderChanged | None:
        order = wire.order(change.order)
        previous = self.orders.get(order.id)
        # 0 is an order without a version: nothing can be said of it, so it is taken.
        if previous is not None and 0 < order.version <= previous.version:
            return None
        self.orders[order.id] = order
        return OrderChanged(
            id=id,
            transport=transport,
            order=order,
            previous=previous,
            exec_type=change.exec_type,
            previous_status=change.previous_status,
            written_at=change.written_at,
            check=wire.check(change.check),
        )

    def _execution(self, id: str, report: wire.ExecutionReport, transport: Transport) -> ExecutionReported | None:
        execution = wire.execution(report.execution)
        if execution.id in self._executions:
            return None
        self._executions[execution.id] = None
        if len(self._executions) > EXECUTIONS_REMEMBERED:
            self._executions.popitem(last=False)
        return ExecutionReported(
            id=id,
            transport=transport,
            execution=execution,
            written_at=report.written_at,
            check=wire.check(report.check),
        )
