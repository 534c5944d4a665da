"""An ingest of a test's own log, and what it left in the tables."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from orderstream.core.fix.reports import Users
from orderstream.ingest import player
from tests.postgres.feed import run


class Ended(msgspec.Struct):
    """`said` is the closing table and what follows it, a line each."""

    status: int
    said: list[str]

    def count(self, name: str) -> int:
        """A row of the closing table."""
        row = next(line for line in self.said if line.strip().partition("  ")[2].strip() == name)
        return int(row.split()[0].replace(",", ""))


def ingested(database: str, log: Path, **options: Any) -> Ended:
    """By default its set-aside file stands beside the log, as the command has it."""
    said: list[str] = []
    usual: dict[str, Any] = {"log": str(log), "aside": Path(f"{log}.set-aside"), "users": Users()}
    status = player.run(
        database, player.Options(**usual | options), timeout_s=30, say=said.append, progress=lambda _: None
    )
    return Ended(status, said)


ORDERS = (
    "select id::text, user_id, client_order_id, original_client_order_id, symbol, side, order_type, time_in_force, "
    "quantity, cash_amount, price, stop_price, status, filled_quantity, average_price, exec_type, reason_code, reason, "
    "version, created_at from public.orders order by id"
)
EXECUTIONS = (
    "select id::text, order_id::text, symbol, side, quantity, price, kind, refers_to::text, executed_at "
    "from public.executions order by id"
)


def everything(database: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that an ingest writes, but for the times of writing."""
    keys = "select key::text, order_id::text, account from orderstream_ingest.keys order by key"
    told = "select user_id, event, regexp_replace(body, '\"(written|updated)_at\":\"[^\"]*\"', '', 'g') from "
    told += "orderstream.outbox order by id"
    return {
        name: run(database, sql)
        for name, sql in [("orders", ORDERS), ("executions", EXECUTIONS), ("keys", keys), ("told", told)]
    }


def told(database: str, user: str) -> list[list[dict[str, Any]]]:
    """What the user is told of each order, in order: the order after the change, and its exec_type."""
    orders: dict[str, list[dict[str, Any]]] = {}
    sql = "select body from orderstream.outbox where user_id = %s and event = 'order' order by id"
    for (body,) in run(database, sql, (user,)):
        event = json.loads(body)
        orders.setdefault(event["order"]["id"], []).append({**event["order"], "exec_type": event["exec_type"]})
    return list(orders.values())


def written(path: Path, *texts: bytes) -> Path:
    """A log of these messages, one a line."""
    path.write_bytes(b"".join(text + b"\n" for text in texts))
    return path


def statuses(database: str) -> Iterable[str]:
    return [status for (status,) in run(database, "select status from public.orders order by created_at, id")]
