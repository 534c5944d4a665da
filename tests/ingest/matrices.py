"""The FIX standard's order state change matrices as a FIX log would have them, one client to a case.

Source of what they say: FIX Protocol specification (http://www.fixprotocol.org), Copyright FIX Protocol Limited; read
from ../shared/data/fix_scenarios.json, whose README explains its fields.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from orderstream.core.fix.words import EXEC_TYPES, STATUSES
from tests.core.fix.lines import encoded

Step = dict[str, Any]

REQUESTS = {"New Order": "D", "Cancel Request": "F", "Replace Request": "G", "Status Request": "H"}
_BEGAN = datetime(2026, 3, 2, 9)


class Case(msgspec.Struct):
    """A main path, or a branch of it that ends in a reject; its name is its client's."""

    name: str
    steps: list[Step]

    @property
    def first(self) -> str | None:
        """The ClOrdID that rows without one are about; None in the case of an order by telephone, which has none."""
        name: str | None = self.steps[0]["cl_ord_id"]
        return name


def cases(path: Path) -> Iterator[Case]:
    """All main paths and branches."""
    for matrix in json.loads(path.read_text()):
        main: list[Step] = []
        branches = 0
        for step in matrix["steps"]:
            if step.get("event_only"):
                continue
            if step["alternative"]:
                branches += 1
                yield Case(f"{matrix['id']}-{branches}", [*main, step])
            else:
                main.append(step)
        yield Case(matrix["id"], main)


def log(all_cases: list[Case], version: str) -> bytes:
    """Messages of FIX.4.2, FIX.4.4 or FIXT.1.1, one a line."""
    return b"\n".join(line for case in all_cases for line in _lines(case, version)) + b"\n"


def _lines(case: Case, version: str) -> Iterator[bytes]:
    # ClOrdID -> the first one of its order, which the broker's OrderID is made of.
    firsts: dict[str | None, str | None] = {}
    for number, step in enumerate(case.steps):
        at = f"{_BEGAN + timedelta(days=(step.get('day') or 1) - 1, seconds=number):%Y%m%d-%H:%M:%S}"
        if step["message_in"]:
            msg_type = REQUESTS[step["message_in"].partition("(")[0]]
            ends = [(49, case.name), (56, "BROKER")]
        else:
            msg_type = "9" if step["exec_type"] is None else "8"
            ends = [(49, "BROKER"), (56, case.name)]
        fields: list[tuple[int, Any]] = [(35, msg_type), *ends, (34, number + 1), (52, at), (60, at)]
        fields += [(tag, step[name]) for tag, name in _NAMES if step.get(name) is not None]
        fields += [(55, "XYZ"), (54, 1)] + ([(40, 1)] if msg_type == "D" else [])
        name = step["cl_ord_id"] or case.first
        if msg_type == "D" or name is None:
            firsts.setdefault(name, name)
        elif step["orig_cl_ord_id"] in firsts:
            firsts[name] = firsts[step["orig_cl_ord_id"]]
        if msg_type in "89":
            order_id = f"{case.name}/{firsts[name]}" if name in firsts else "NONE"
            fields += [(37, order_id), (39, step["ord_status_code"])]
        if msg_type == "8":
            fields += [(17, step["exec_id"] or f"#{number}"), *_exec_type(step, version)]
        yield encoded(fields, version=version)


_NAMES = [
    (11, "cl_ord_id"), (41, "orig_cl_ord_id"), (38, "order_qty"), (152, "cash_order_qty"), (14, "cum_qty"),
    (151, "leaves_qty"), (32, "last_qty"), (31, "last_px"), (6, "avg_px"), (44, "price"), (19, "exec_ref"),
]  # fmt: skip


def _exec_type(step: Step, version: str) -> list[tuple[int, str]]:
    """ExecType, and in FIX 4.2 ExecTransType: there a trade is named by what it leaves."""
    code = step["exec_type_code"]
    if version != "FIX.4.2" or code not in "FGHI":
        return [(150, code)]
    trans = {"F": "0", "G": "2", "H": "1", "I": "3"}[code]
    return [(20, trans), (150, "1" if step["leaves_qty"] else "2")]


def printed(case: Case) -> list[list[dict[str, Any]]]:
    """What a client is to see of each order, a row at a time, where the standard prints it: FIX's status and quantities
    in our words. An answer to a status request is no event, and nor is one about an order that there is not."""
    orders: dict[str | None, list[dict[str, Any]]] = {}
    if case.first is None:
        orders[None] = []
    for step in case.steps:
        name = step["cl_ord_id"] or case.first
        if (step["message_in"] or "").startswith("New Order") and name not in orders:
            orders[name] = [{"status": "pending_new", "exec_type": "pending_new"}]
        elif step["orig_cl_ord_id"] and step["orig_cl_ord_id"] in orders:
            orders[name] = orders[step["orig_cl_ord_id"]]
        if step["message_out"] and step["exec_type_code"] != "I" and name in orders:
            row = {
                "status": STATUSES[step["ord_status_code"]],
                "exec_type": EXEC_TYPES.get(step["exec_type_code"] or ""),
                "quantity": step["order_qty"],
                "filled_quantity": step["cum_qty"],
            }
            orders[name].append({key: value for key, value in row.items() if value is not None})
    return list({id(rows): rows for rows in orders.values()}.values())
