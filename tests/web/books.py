"""The same writing on Postgres as MemoryStore has: what the contract of the two is tested with."""

import uuid
from typing import Any

import psycopg2
import psycopg2.extensions

from orderstream.postgres.store import PostgresStore
from tests.waiting import eventually
from tests.web.memory import StoreSettings

_PLAIN = {
    "symbol": "AAPL", "asset_class": "stock", "side": "buy", "order_type": "limit", "platform": "web",
    "quantity": "10", "status": "submitted",
}  # fmt: skip


class PostgresBooks:
    """Writes to the tables of the order service; `store` reads what a running Sequencer made of it."""

    def __init__(self, dsn: str, store: PostgresStore, settings: StoreSettings) -> None:
        self.store = store
        self.settings = settings
        self._session = psycopg2.connect(dsn)
        self._session.autocommit = True

    def close(self) -> None:
        self._session.close()

    def execute_sql(self, sql: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """Runs one statement in a transaction of its own and gives its rows."""
        with self._session.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    def place(self, user_id: str, **fields: Any) -> str:
        return self._insert("orders", _PLAIN | {"user_id": user_id} | fields)

    def change(self, order_id: str, **fields: Any) -> None:
        assignments = ", ".join(f"{name} = %({name})s" for name in fields)
        self.execute_sql(f"update orders set {assignments} where id = %(id)s", fields | {"id": order_id})

    def execute(self, order_id: str, **fields: Any) -> str:
        [(symbol, side)] = self.execute_sql("select symbol, side from orders where id = %s", [order_id])
        plain = {"order_id": order_id, "symbol": symbol, "side": side, "quantity": "1"}
        return self._insert("executions", plain | fields)

    def remove(self, order_id: str) -> None:
        self.execute_sql("delete from orders where id = %s", [order_id])

    def renew_epoch(self) -> str:
        [(epoch,)] = self.execute_sql("select orderstream.new_epoch()")
        return str(epoch)

    def retire(self, user_id: str, before_seq: int) -> None:
        self.execute_sql("delete from orderstream.events where user_id = %s and seq < %s", [user_id, before_seq])

    async def settled(self) -> None:
        """All that was written is numbered."""
        await eventually(self._all_numbered)

    def _all_numbered(self) -> bool:
        written = "select count(*) from orderstream.outbox"
        numbered = "select coalesce(max(position), 0) from orderstream.events"
        [(equal,)] = self.execute_sql(f"select ({written}) = ({numbered})")
        return bool(equal)

    def _insert(self, table: str, fields: dict[str, Any]) -> str:
        row = {"id": str(uuid.uuid4())} | fields
        names, values = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        self.execute_sql(f"insert into {table} ({names}) values ({values})", row)
        return str(row["id"])
