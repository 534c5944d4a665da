"""The order state change matrices of the FIX standard as an order service would write them: rows and executions.

They are read from where they are kept beside the project, and never copied into it.
"""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_FILE = Path(__file__).parents[2] / "shared" / "data" / "fix_scenarios.json"

_STATUSES = {
    "New": "submitted", "Partially Filled": "partially_filled", "Filled": "filled", "Done for Day": "done_for_day",
    "Pending Cancel": "pending_cancel", "Canceled": "cancelled", "Pending Replace": "pending_replace",
    "Stopped": "stopped", "Rejected": "rejected",
}  # fmt: skip
_EXEC_TYPES = {
    "New": "new", "Trade": "trade", "Trade Cancel": "trade_cancel", "Trade Correct": "trade_correct",
    "Replaced": "replaced", "Restated": "restated", "Done for Day": "done_for_day", "Pending Cancel": "pending_cancel",
    "Canceled": "cancelled", "Pending Replace": "pending_replace", "Stopped": "stopped", "Rejected": "rejected",
    "Triggered": "triggered",
}  # fmt: skip
_KINDS = {"Trade": "trade", "Trade Cancel": "bust", "Trade Correct": "correction"}

Row = dict[str, Any]


class Write(NamedTuple):
    """What one message makes an order service write in one transaction: an order's columns, and maybe an execution.
    `order` is the client's first name for it; `printed` is the row of the matrix."""

    order: str
    is_new: bool
    columns: Row
    execution: Row | None
    printed: Row


class Case(NamedTuple):
    """A matrix' main path, or a branch of it that is refused."""

    name: str
    writes: list[Write]


@functools.cache
def scenarios() -> list[dict[str, Any]]:
    """As they are stored; where they are not, the test is skipped with a word."""
    if not _FILE.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{_FILE.name} is not in ../shared/data, and CI must have it")
        pytest.skip(f"the matrices of the FIX standard are not beside the project: ../shared/data/{_FILE.name}")
    found: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def cases() -> list[Case]:
    """Main paths, and each branch as the main rows before it, then it."""
    found = []
    for one in scenarios():
        steps = one["steps"]
        main = [row for row in steps if not row.get("alternative")]
        found.append(Case(one["id"], list(_writes(one["id"], main))))
        for place, row in enumerate(steps):
            if row.get("alternative"):
                before = [each for each in steps[:place] if not each.get("alternative")]
                name = f"{one['id']}-{place + 1}"
                found.append(Case(name, list(_writes(name, [*before, row]))))
    return found


class _Book:
    """An order service's view: which order a name stands for, and how the executions of each are called."""

    def __init__(self, case: str) -> None:
        self._case = case
        self.names: dict[str, str] = {}
        self._executions = 0

    def order_of(self, row: Row) -> str | None:
        for name in (row.get("orig_cl_ord_id"), row.get("cl_ord_id")):
            if name in self.names:
                return self.names[name]
        # A report without a name is about the one order that there is (E.1.a, K.1.b).
        return next(iter(self.names.values()), None) if row.get("cl_ord_id") is None else None

    def execution(self, row: Row) -> Row:
        self._executions += 1
        name, reference = row.get("exec_id") or str(self._executions), row.get("exec_ref")
        return {
            "name": f"{self._case}/{name}",
            "kind": _KINDS[row["exec_type"]],
            "quantity": row["last_qty"],
            "price": row.get("last_px"),
            "refers_to": reference and f"{self._case}/{reference}",
        }


def _writes(case: str, rows: list[Row]) -> Iterator[Write]:
    book = _Book(case)
    lasting = any(row.get("day") for row in rows)
    for row in rows:
        if (row.get("message_in") or "").startswith("New Order") and row["cl_ord_id"] not in book.names:
            book.names[row["cl_ord_id"]] = row["cl_ord_id"]
            columns = {"status": "pending_new", "quantity": row["order_qty"], "cash_amount": row.get("cash_order_qty")}
            yield Write(row["cl_ord_id"], True, _named(row) | _terms(row, lasting) | columns, None, row)
        elif (row.get("message_out") or "").startswith(("Execution", "Cancel Reject")):
            yield from _answer(book, row, lasting)


def _answer(book: _Book, row: Row, lasting: bool) -> Iterator[Write]:
    order = book.order_of(row)
    is_new = order is None and row["exec_type"] == "New"
    if is_new:
        order = book.names["-"] = row.get("cl_ord_id") or "-"
    # An answer to a question about an order is no change of it, and one about no order is nobody's.
    if order is None or row["exec_type"] == "Order Status":
        return
    columns = _named(row) | {"status": _STATUSES[row["ord_status"]], "exec_type": _EXEC_TYPES.get(row["exec_type"])}
    if row["exec_type"] is None:
        columns |= {"reason": f"refused at {row['time']}"}
    else:
        if row.get("cl_ord_id"):
            book.names[row["cl_ord_id"]] = order
        columns |= {"quantity": row["order_qty"], "filled_quantity": row["cum_qty"], "reason": None}
        if "avg_px" in row:
            columns["average_price"] = row["avg_px"]
    execution = book.execution(row) if row["exec_type"] in _KINDS else None
    yield Write(order, is_new, columns | (_terms(row, lasting) if is_new else {}), execution, row)


def _named(row: Row) -> Row:
    return {"client_order_id": row.get("cl_ord_id"), "original_client_order_id": row.get("orig_cl_ord_id")}


def _terms(row: Row, lasting: bool) -> Row:
    return {"time_in_force": "gtc" if lasting else "day", "order_type": "market", "price": row.get("price")}
