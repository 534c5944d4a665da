"""The Store on Postgres: channels, replays, snapshots and lists, each one query however many users."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

import msgspec

from orderstream.core.cursor import Cursor
from orderstream.core.delivery import Snapshot
from orderstream.core.events import Event, SequencedEvent, encoded
from orderstream.core.log import ChannelPage
from orderstream.errors import DatabaseUnavailable, InvalidParameter, NotFound
from orderstream.ports import ExecutionsPage, OrdersPage, Statement
from orderstream.postgres.connections import NotAValue, Row
from orderstream.postgres.pool import Pool
from orderstream.postgres.queries import query

# How long an answer is kept back until it is known who may see it: as long as it mostly takes to connect again.
_KEPT_BACK_S = 1.0
# The newest events of an order that are looked through for the names that it had.
_NAMED_EVENTS = 1000


class StoreSettings(msgspec.Struct, frozen=True):
    """From the settings of the same names."""

    log_max_events: int = 256
    replay_page_events: int = 500
    snapshot_max_orders: int = 5000
    snapshot_closed_s: float = 86_400.0


class PostgresStore:
    """Reads through a pool; raises DatabaseUnavailable, also while `permitted` is not set and nothing may be shown."""

    def __init__(self, pool: Pool, settings: StoreSettings, *, permitted: asyncio.Event | None = None) -> None:
        self._pool = pool
        self._settings = settings
        self._permitted = permitted

    async def channel_pages(self, wanted: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], ChannelPage]:
        user_ids, afters = [user_id for user_id, _ in wanted], [after for _, after in wanted]
        rows = await self._read(
            "channel_pages",
            {"user_ids": user_ids, "afters": afters, "max_events": self._settings.log_max_events},
        )
        pages: dict[tuple[str, int], ChannelPage] = {}
        events: dict[tuple[str, int], list[Event]] = {key: [] for key in wanted}
        _found(rows)
        for user_id, after, epoch, head, oldest, *event in rows:
            key = (user_id, after)
            # Of the many equal texts, the one that all channels and clients share.
            pages[key] = ChannelPage(sys.intern(epoch), head, oldest, events[key])
            events[key].extend(_events(user_id, epoch, event))
        return pages

    async def events_after(self, user_id: str, seq: int) -> tuple[str, Sequence[Event]]:
        rows = await self._read(
            "events_after",
            {"user_id": user_id, "after": seq, "max_events": self._settings.replay_page_events},
        )
        epoch = _found(rows)[0]
        return epoch, [event for row in rows for event in _events(user_id, epoch, row[1:])]

    async def snapshots(self, user_ids: Sequence[str]) -> Mapping[str, Snapshot]:
        limits = {
            "max_orders": self._settings.snapshot_max_orders,
            "closed_s": self._settings.snapshot_closed_s,
        }
        rows = await self._read("snapshots", {"user_ids": list(user_ids), **limits})
        cursors: dict[str, Cursor] = {}
        orders: dict[str, list[bytes]] = {user_id: [] for user_id in user_ids}
        _found(rows)
        for user_id, epoch, head, body in rows:
            cursors[user_id] = Cursor(sys.intern(epoch), head)
            if body is not None:
                orders[user_id].append(body.encode())
        return {user_id: Snapshot(cursors[user_id], orders[user_id]) for user_id in user_ids}

    async def orders_page(
        self,
        user_id: str,
        *,
        open_: bool | None,
        symbol: str | None,
        before: tuple[str, str] | None,
        limit: int,
    ) -> OrdersPage:
        before_at, before_id = before or (None, None)
        key = {
            "user_id": user_id,
            "open": open_,
            "symbol": symbol,
            "before_at": before_at,
            "before_id": before_id,
        }
        try:
            rows = await self._read("orders_page", {**key, "max_orders": limit + 1})
        except NotAValue:
            raise InvalidParameter("page must be the `next` of an earlier answer") from None
        epoch, head, *_ = _found(rows)
        found = [row for row in rows if row[2] is not None]
        next_key = (found[limit - 1][3], found[limit - 1][4]) if len(found) > limit else None
        return OrdersPage(Cursor(epoch, head), [row[2].encode() for row in found[:limit]], next_key)

    async def order(self, user_id: str, order_id: str) -> tuple[bytes, Sequence[bytes]]:
        try:
            rows = await self._read("order", {"user_id": user_id, "order_id": order_id})
        except NotAValue:
            rows = []
        if not rows:
            raise NotFound("there is no such order")
        return rows[0][0].encode(), [row[1].encode() for row in rows if row[1] is not None]

    async def renamings(self, user_id: str, order_id: str) -> Mapping[str, str]:
        asked = {"user_id": user_id, "order_id": order_id, "max_events": _NAMED_EVENTS}
        # The latest word on a name counts, and comes first.
        return dict(reversed([(name, original) for name, original in await self._read("renamings", asked)]))

    async def order_events(self, user_id: str, order_id: str, *, after: int, limit: int) -> Sequence[Event]:
        asked = {"user_id": user_id, "order_id": order_id, "after": after, "max_events": limit}
        try:
            rows = await self._read("order_events", asked)
        except NotAValue:
            rows = []
        if not rows:
            raise NotFound("there is no such order")
        return [
            event
            for position, epoch, seq, name, body, written_at in rows
            for event in _events(user_id, epoch, (position, seq, name, body, written_at))
        ]

    async def executions_page(self, user_id: str, asked: Statement) -> ExecutionsPage:
        before_at, before_id = asked.before or (None, None)
        parameters = {
            "user_id": user_id,
            "since": asked.since,
            "until": asked.until,
            "symbol": asked.symbol,
            "before_at": before_at,
            "before_id": before_id,
            "max_executions": asked.limit + 1,
        }
        try:
            rows = await self._read("executions_page", parameters)
        except NotAValue:
            raise InvalidParameter("page must be the `next` of an earlier answer") from None
        shown = rows[: asked.limit]
        next_key = (shown[-1][1], shown[-1][2]) if len(rows) > asked.limit else None
        return ExecutionsPage([row[0].encode() for row in shown], next_key)

    async def _read(self, name: str, parameters: Mapping[str, object]) -> list[Row]:
        rows = await self._pool.fetch(query(name), parameters)
        if self._permitted is not None:
            try:
                async with asyncio.timeout(_KEPT_BACK_S):
                    await self._permitted.wait()
            except TimeoutError:
                raise DatabaseUnavailable("it is not known which sessions were ended") from None
        return rows


def _found(rows: Sequence[Row]) -> Row:
    """The first row, which is always there but while a restore leaves us without an epoch."""
    if not rows:
        raise DatabaseUnavailable("there is no epoch: a restore may be under way")
    return rows[0]


def _events(user_id: str, epoch: str, row: Row | Sequence[object]) -> list[Event]:
    """The event of a left-joined row, if it has one."""
    position, seq, name, body, written_at = row
    if position is None:
        return []
    return [encoded(SequencedEvent(position, user_id, epoch, seq, name, body, written_at))]  # type: ignore[arg-type]
