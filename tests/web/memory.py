"""Orders and their events in memory: a Store and an OrderReader with a committed history, for the web tier.

It promises what PostgresStore promises; `test_store_contract.py` holds both to it.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from orderstream.core.cursor import MAX_SEQ, Cursor
from orderstream.core.delivery import Snapshot
from orderstream.core.events import Event, SequencedEvent
from orderstream.core.log import ChannelPage
from orderstream.errors import DatabaseUnavailable, InvalidParameter, NotFound
from orderstream.ports import ExecutionsPage, OrdersPage, Publisher, Statement
from orderstream.postgres.store import StoreSettings

_encode = msgspec.json.Encoder(decimal_format="number").encode

ENDED = frozenset({"filled", "cancelled", "calculated", "rejected", "expired"})
_NEW_ORDER: dict[str, Any] = {
    "client_order_id": None, "original_client_order_id": None, "symbol": "AAPL", "asset_class": "stock",
    "side": "buy", "order_type": "limit", "time_in_force": "day", "platform": "web", "quantity": "10",
    "cash_amount": None, "price": None, "stop_price": None,
    "filled_quantity": "0", "average_price": None, "status": "submitted", "exec_type": None, "reason_code": None,
    "reason": None,
}  # fmt: skip
_NUMBERS = ("quantity", "cash_amount", "price", "stop_price", "filled_quantity", "average_price")

Row = dict[str, Any]


class MemoryStore:
    """What was committed; whoever is in `publishers` is told of each commit right after it, once."""

    def __init__(self, settings: StoreSettings | None = None) -> None:
        self.settings = settings or StoreSettings()
        self.epoch = "0a0a0a0a"
        self.reachable = True
        self.publishers: list[Publisher] = []
        self._orders: dict[str, Row] = {}
        self._executions: dict[str, Row] = {}
        self._events: dict[str, list[SequencedEvent]] = {}
        self._position = 0
        self._batch: list[SequencedEvent] | None = None

    # Writing: the order service, triggers and sequencer in one

    def place(self, user_id: str, **fields: Any) -> str:
        """A new order; fields not given are those of a plain one."""
        order_id, now = str(uuid.uuid4()), datetime.now(UTC)
        self._orders[order_id] = (
            _NEW_ORDER
            | {"id": order_id, "user_id": user_id, "version": 1, "created_at": now, "updated_at": now}
            | fields
        )
        self._tell_order(order_id, None)
        return order_id

    def change(self, order_id: str, **fields: Any) -> None:
        """An update of some fields."""
        old = self._orders[order_id]
        new = old | {"version": old["version"] + 1, "updated_at": datetime.now(UTC)} | fields
        self._orders[order_id] = new
        if new["user_id"] != old["user_id"]:
            self._tell(old["user_id"], "order-removed", _encode({"order_id": order_id}))
        self._tell_order(order_id, old)

    def execute(self, order_id: str, **fields: Any) -> str:
        """A trade report."""
        order, execution_id = self._orders[order_id], str(uuid.uuid4())
        self._executions[execution_id] = {
            "id": execution_id, "order_id": order_id, "symbol": order["symbol"], "side": order["side"],
            "quantity": "1", "price": None, "kind": "trade", "refers_to": None, "executed_at": datetime.now(UTC),
        } | fields  # fmt: skip
        document = b'{"execution":%b,"written_at":"%b"}' % (self._execution(execution_id), _now())
        self._tell(order["user_id"], "execution", document)
        return execution_id

    def remove(self, order_id: str) -> None:
        """A deletion, executions and all."""
        order = self._orders.pop(order_id)
        self._executions = {key: row for key, row in self._executions.items() if row["order_id"] != order_id}
        self._tell(order["user_id"], "order-removed", _encode({"order_id": order_id}))

    def renew_epoch(self, epoch: str = "0b0b0b0b") -> str:
        """The promise was broken from outside."""
        self.epoch = epoch
        for publisher in self.publishers:
            publisher.renew(epoch)
        return epoch

    def retire(self, user_id: str, before_seq: int) -> None:
        """What retention does: events before `before_seq` are gone."""
        self._events[user_id] = [row for row in self._events[user_id] if row.seq >= before_seq]

    async def settled(self) -> None:
        """All that was written is numbered: here it always is."""

    @contextmanager
    def batch(self) -> Iterator[None]:
        """What is written within is told in one batch."""
        self._batch = batch = []
        yield
        self._batch = None
        self._publish(batch)

    # Store

    async def channel_pages(self, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], ChannelPage]:
        self._require_reachable()
        return {key: self._page(*key) for key in wanted}

    async def snapshots(self, user_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        self._require_reachable()
        since = datetime.now(UTC) - timedelta(seconds=self.settings.snapshot_closed_s)
        return {
            user_id: Snapshot(
                self._cursor(user_id),
                [
                    _document(row)
                    for row in self._newest_first(user_id)
                    if not _is_ended(row) or row["updated_at"] > since
                ][: self.settings.snapshot_max_orders],
            )
            for user_id in user_ids
        }

    async def events_after(self, user_id: str, seq: int) -> tuple[str, Sequence[Event]]:
        self._require_reachable()
        return self.epoch, [Event(row) for row in self._after(user_id, seq)[: self.settings.replay_page_events]]

    # OrderReader

    async def orders_page(
        self, user_id: str, *, open_: bool | None, symbol: str | None, before: tuple[str, str] | None, limit: int
    ) -> OrdersPage:
        self._require_reachable()
        key = _key(before) if before is not None else None
        rows = [
            row
            for row in self._newest_first(user_id)
            if (open_ is None or open_ is not _is_ended(row))
            and (symbol is None or row["symbol"] == symbol)
            and (key is None or (row["created_at"], row["id"]) < key)
        ]
        last = rows[limit - 1] if len(rows) > limit else None
        next_key = (str(last["created_at"]), last["id"]) if last else None
        return OrdersPage(self._cursor(user_id), [_document(row) for row in rows[:limit]], next_key)

    async def order(self, user_id: str, order_id: str) -> tuple[bytes, Sequence[bytes]]:
        self._require_reachable()
        row = self._orders.get(order_id)
        if row is None or row["user_id"] != user_id:
            raise NotFound("there is no such order")
        executions = [row for row in self._executions.values() if row["order_id"] == order_id]
        executions.sort(key=lambda row: (row["executed_at"], row["id"]))
        return _document(row), [self._execution(row["id"]) for row in executions]

    async def renamings(self, user_id: str, order_id: str) -> Mapping[str, str]:
        told = [msgspec.json.decode(row.body) for row in self._of_order(user_id, order_id) if row.name == "order"]
        named = [(one["order"]["client_order_id"], one["order"]["original_client_order_id"]) for one in told]
        return {name: original for name, original in named if name and original}

    async def order_events(self, user_id: str, order_id: str, *, after: int, limit: int) -> Sequence[Event]:
        self._require_reachable()
        rows, order = self._of_order(user_id, order_id), self._orders.get(order_id)
        if not rows and (order is None or order["user_id"] != user_id):
            raise NotFound("there is no such order")
        return [Event(row) for row in rows if row.seq > after][:limit]

    async def executions_page(self, user_id: str, asked: Statement) -> ExecutionsPage:
        self._require_reachable()
        key = _key(asked.before) if asked.before is not None else None
        rows = [
            row
            for row in self._executions.values()
            if self._orders[row["order_id"]]["user_id"] == user_id
            and (asked.since is None or row["executed_at"] >= asked.since)
            and (asked.until is None or row["executed_at"] < asked.until)
            and (asked.symbol is None or row["symbol"] == asked.symbol)
            and (key is None or (row["executed_at"], row["id"]) < key)
        ]
        rows.sort(key=lambda row: (row["executed_at"], row["id"]), reverse=True)
        last = rows[asked.limit - 1] if len(rows) > asked.limit else None
        next_key = (str(last["executed_at"]), last["id"]) if last else None
        return ExecutionsPage([self._execution(row["id"]) for row in rows[: asked.limit]], next_key)

    def _of_order(self, user_id: str, order_id: str) -> list[SequencedEvent]:
        return [row for row in self._events.get(user_id, []) if f'"{order_id}"' in row.body]

    def _require_reachable(self) -> None:
        if not self.reachable:
            raise DatabaseUnavailable("the database does not answer: it was told not to")

    def _page(self, user_id: str, after: int) -> ChannelPage:
        # As a bigint column would.
        assert 0 <= after <= MAX_SEQ
        rows, head = self._events.get(user_id, []), self._cursor(user_id).seq
        oldest = rows[0].seq if rows else 1
        kept = self._after(user_id, max(after, head - self.settings.log_max_events))
        return ChannelPage(self.epoch, head, oldest, [Event(row) for row in kept])

    def _after(self, user_id: str, seq: int) -> list[SequencedEvent]:
        return [row for row in self._events.get(user_id, []) if row.seq > seq and row.epoch == self.epoch]

    def _cursor(self, user_id: str) -> Cursor:
        rows = self._events.get(user_id)
        return Cursor(self.epoch, rows[-1].seq if rows else 0)

    def _newest_first(self, user_id: str) -> list[Row]:
        rows = [row for row in self._orders.values() if row["user_id"] == user_id]
        return sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)

    def _execution(self, execution_id: str) -> bytes:
        row = self._executions[execution_id]
        return _encode(row | _exact(row, ("quantity", "price")) | {"executed_at": _rfc3339(row["executed_at"])})

    def _tell_order(self, order_id: str, old: Row | None) -> None:
        new = self._orders[order_id]
        previous = old["status"] if old is not None and old["user_id"] == new["user_id"] else None
        body = b'{"order":%b,"exec_type":%b,"previous_status":%b,"written_at":"%b"}' % (
            _document(new),
            _encode(new["exec_type"] or _exec_type(old, new)),
            _encode(previous),
            _now(),
        )
        self._tell(new["user_id"], "order", body)

    def _tell(self, user_id: str, name: str, body: bytes) -> None:
        self._position += 1
        seq, at = self._cursor(user_id).seq + 1, datetime.now(UTC).timestamp()
        row = SequencedEvent(self._position, user_id, self.epoch, seq, name, body.decode(), at)
        self._events.setdefault(user_id, []).append(row)
        if self._batch is not None:
            self._batch.append(row)
        else:
            self._publish([row])

    def _publish(self, batch: Sequence[SequencedEvent]) -> None:
        for publisher in self.publishers:
            publisher.publish(batch)


def _exec_type(old: Row | None, new: Row) -> str:
    if Decimal(new["filled_quantity"]) > Decimal(old["filled_quantity"] if old else 0):
        return "trade"
    if old is None:
        return "new" if new["status"] == "submitted" else str(new["status"])
    if new["status"] != old["status"]:
        return str(new["status"])
    terms = ("quantity", "cash_amount", "price", "stop_price", "order_type")
    same_terms = all(new[name] == old[name] for name in terms)
    return "restated" if same_terms else "replaced"


def _document(row: Row) -> bytes:
    numbers = _exact(row, _NUMBERS)
    remaining = Decimal(0) if _is_ended(row) else _remaining(numbers)
    return _encode(
        {name: row[name] for name in ("id", "client_order_id", "original_client_order_id", "symbol")}
        | {name: row[name] for name in ("asset_class", "side", "order_type", "time_in_force", "platform")}
        | {name: numbers[name] for name in ("quantity", "cash_amount", "price", "stop_price", "filled_quantity")}
        | {"remaining_quantity": remaining, "average_price": numbers["average_price"]}
        | {name: row[name] for name in ("status", "reason_code", "reason", "version")}
        | {name: _rfc3339(row[name]) for name in ("created_at", "updated_at")}
    )


def _is_ended(row: Row) -> bool:
    return row["status"] in ENDED or (row["status"] == "done_for_day" and row["time_in_force"] != "gtc")


def _remaining(numbers: Row) -> Decimal | None:
    return None if numbers["quantity"] is None else numbers["quantity"] - numbers["filled_quantity"]


def _exact(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return {name: None if row[name] is None else Decimal(_trimmed(row[name])) for name in names}


def _trimmed(number: str) -> str:
    # As text: Decimal's own arithmetic rounds to 28 digits.
    return number.rstrip("0").rstrip(".") if "." in number else number


def _key(before: tuple[str, str]) -> tuple[datetime, str]:
    try:
        return datetime.fromisoformat(before[0]), str(uuid.UUID(before[1]))
    except ValueError:
        raise InvalidParameter("page must be the `next` of an earlier answer") from None


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _now() -> bytes:
    return _rfc3339(datetime.now(UTC)).encode()
