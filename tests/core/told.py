"""What an order service writes, as the triggers would tell it: for checks, without a database."""

import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from orderstream.core.checker import Change

Row = dict[str, Any]
_NEW: Row = {
    "status": "pending_new", "quantity": None, "cash_amount": None, "filled_quantity": 0, "average_price": None,
}  # fmt: skip


class Orders:
    """Rows as they are now; every call of `write` is a transaction of its own, unless it is told another's."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._xids = itertools.count(1)

    def write(
        self, order: str, columns: Row | None = None, executions: Iterable[Row] = (), *, xid: str | None = None
    ) -> Iterator[Change]:
        """The events of a change of an order and of its executions, the executions first."""
        xid = xid or str(next(self._xids))
        for one in executions:
            report = {"id": one["name"], "order_id": order} | {key: one[key] for key in one if key != "name"}
            yield Change(xid, "ann", order, "execution", json.dumps({"execution": report, "written_at": "…"}))
        if columns is not None:
            was = self._rows.get(order)
            now = self._rows[order] = (was or _NEW) | columns
            if now != was:
                yield Change(xid, "ann", order, "order", _order(order, was, now))


def _order(order: str, was: Row | None, now: Row) -> str:
    said = now.get("exec_type") or ("new" if was is None else "restated")
    document = {"id": order} | {key: value for key, value in now.items() if key != "exec_type"}
    told = {"order": document, "exec_type": said, "previous_status": was and was["status"], "written_at": "…"}
    # As json.dumps does not: the triggers leave no blanks.
    return json.dumps(told, separators=(",", ":"))
