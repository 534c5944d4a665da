"""The contract of ports.Store and ports.OrderReader, on the adapter of the tests and on the one that is shipped.

What clients are promised about events is decided below the web tier, in the triggers: those numbers are shown here, on
both; where only Postgres can break a promise, in `TestPostgresStore`.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg2
import pytest

from orderstream.core.events import Event
from orderstream.errors import InvalidParameter, NotFound
from orderstream.hub import NOTHING_AFTER
from orderstream.metrics import PrometheusMeter
from orderstream.ports import Statement
from orderstream.postgres.pool import Pool
from orderstream.postgres.sequencer import Sequencer, SequencerSettings
from orderstream.postgres.store import PostgresStore, StoreSettings
from tests.web.books import PostgresBooks
from tests.web.memory import MemoryStore

SETTINGS = StoreSettings(log_max_events=3, replay_page_events=2, snapshot_max_orders=4, snapshot_closed_s=3600)
ORDER_FIELDS = [
    "id",
    "client_order_id",
    "original_client_order_id",
    "symbol",
    "asset_class",
    "side",
    "order_type",
    "time_in_force",
    "platform",
    "quantity",
    "cash_amount",
    "price",
    "stop_price",
    "filled_quantity",
    "remaining_quantity",
    "average_price",
    "status",
    "reason_code",
    "reason",
    "version",
    "created_at",
    "updated_at",
]
EXECUTION_FIELDS = ["id", "order_id", "symbol", "side", "quantity", "price", "kind", "refers_to", "executed_at"]
ALL: dict[str, Any] = {"open_": None, "symbol": None, "before": None}
A_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

Books = MemoryStore | PostgresBooks


def reader(books: Books) -> MemoryStore | PostgresStore:
    return books if isinstance(books, MemoryStore) else books.store


async def told(books: Books, user_id: str) -> list[Event]:
    """All events of a user, oldest first."""
    await books.settled()
    events: list[Event] = []
    while page := (await reader(books).events_after(user_id, len(events)))[1]:
        events.extend(page)
    return events


async def bodies(books: Books, user_id: str) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, msgspec.json.decode(event.body)) for event in await told(books, user_id)]


class StoreContract:
    """Tests that every adapter must pass, by a fixture `books` of its own."""

    async def test_evt_1_events_are_numbered_from_1_for_each_user(self, books: Books) -> None:
        """What others do leaves no hole."""
        for user_id in ("ann", "bob", "ann", "bob", "ann"):
            books.place(user_id)
        assert [event.seq for event in await told(books, "ann")] == [1, 2, 3]

    async def test_evt_2_an_order_event_tells_the_whole_order(self, books: Books) -> None:
        """The document is the one that lists and snapshots show."""
        order_id = books.place("ann")
        [event] = await told(books, "ann")
        document, _ = await reader(books).order("ann", order_id)
        assert event.body.startswith(b'{"order":' + document + b',"exec_type":')
        assert list(msgspec.json.decode(event.body)) == ["order", "exec_type", "previous_status", "written_at"]

    async def test_evt_3_exec_type_is_derived_from_the_change(self, books: Books) -> None:
        """The filled quantity first, then the status, then the terms."""
        order_id = books.place("ann")
        books.change(order_id, price="1.5")
        books.change(order_id, status="partially_filled", filled_quantity="4")
        books.change(order_id, status="cancelled")
        news = [(body["exec_type"], body["previous_status"]) for _, body in await bodies(books, "ann")]
        assert news == [
            ("new", None),
            ("replaced", "submitted"),
            ("trade", "submitted"),
            ("cancelled", "partially_filled"),
        ]

    async def test_evt_3_exec_type_is_what_the_writer_says(self, books: Books) -> None:
        """Nothing is derived then."""
        books.place("ann", exec_type="order_status")
        assert (await bodies(books, "ann"))[0][1]["exec_type"] == "order_status"

    async def test_evt_4_an_execution_is_told(self, books: Books) -> None:
        """Its document is the one that the order's own resource shows."""
        order_id = books.place("ann")
        books.execute(order_id, quantity="2.50", price="10.10")
        event = (await told(books, "ann"))[1]
        _, [document] = await reader(books).order("ann", order_id)
        assert (event.name, event.body.partition(b',"written_at"')[0]) == ("execution", b'{"execution":' + document)

    async def test_evt_6_an_order_is_removed_when_it_is_deleted(self, books: Books) -> None:
        """Its executions go without a word."""
        order_id = books.place("ann")
        books.execute(order_id)
        books.remove(order_id)
        assert (await bodies(books, "ann"))[2:] == [("order-removed", {"order_id": order_id})]

    async def test_evt_7_an_order_that_changes_its_user_is_removed_from_one_and_new_to_the_other(
        self, books: Books
    ) -> None:
        """The other learns nothing of what it was before."""
        order_id = books.place("ann")
        books.change(order_id, user_id="bob")
        assert (await bodies(books, "ann"))[1:] == [("order-removed", {"order_id": order_id})]
        [(name, body)] = await bodies(books, "bob")
        assert (name, body["order"]["id"], body["previous_status"]) == ("order", order_id, None)

    async def test_ord_1_an_order_has_these_fields(self, books: Books) -> None:
        """All of them, always, in this order."""
        document, _ = await reader(books).order("ann", books.place("ann"))
        assert list(msgspec.json.decode(document)) == ORDER_FIELDS

    async def test_ord_2_an_execution_has_these_fields(self, books: Books) -> None:
        """All of them, always, in this order."""
        order_id = books.place("ann")
        books.execute(order_id)
        _, [document] = await reader(books).order("ann", order_id)
        assert list(msgspec.json.decode(document)) == EXECUTION_FIELDS

    async def test_ord_3_quantities_and_prices_are_numbers_of_exact_text(self, books: Books) -> None:
        """More digits than a double holds, and no zeros behind."""
        order_id = books.place("ann", quantity="12345678901234567890.123456789", cash_amount="1.500")
        document, _ = await reader(books).order("ann", order_id)
        assert b'"quantity":12345678901234567890.123456789,"cash_amount":1.5,' in document

    async def test_ord_4_times_are_utc_with_microseconds(self, books: Books) -> None:
        """RFC 3339, with Z."""
        books.place("ann")
        [(_, body)] = await bodies(books, "ann")
        times = [body["order"]["created_at"], body["order"]["updated_at"], body["written_at"]]
        assert all(A_TIME.fullmatch(time) for time in times)

    async def test_ord_5_nothing_remains_of_an_order_that_has_ended(self, books: Books) -> None:
        """FIX LeavesQty: it will not be filled any more."""
        order_id = books.place("ann", filled_quantity="4")
        books.change(order_id, status="cancelled")
        left = [body["order"]["remaining_quantity"] for _, body in await bodies(books, "ann")]
        assert left == [6, 0]

    @pytest.mark.parametrize(("time_in_force", "left"), [("day", 0), ("gtc", 6)])
    async def test_ord_5_order_that_is_done_for_the_day_goes_on_in_the_morning_if_it_is_good_for_longer(
        self, books: Books, time_in_force: str, left: int
    ) -> None:
        """A month later too, when it would long have left the snapshot as one that has ended."""
        long_ago = datetime.now(UTC) - timedelta(days=30)
        order_id = books.place("ann", filled_quantity="4", time_in_force=time_in_force, updated_at=long_ago)
        books.change(order_id, status="done_for_day", updated_at=long_ago + timedelta(hours=1))
        document, _ = await reader(books).order("ann", order_id)
        assert msgspec.json.decode(document)["remaining_quantity"] == left
        snapshot = (await reader(books).snapshots(["ann"]))["ann"]
        assert len(snapshot.orders) == (1 if left else 0)
        assert len((await reader(books).orders_page("ann", **ALL | {"open_": True}, limit=5)).orders) == (
            1 if left else 0
        )

    async def test_ord_6_versions_count_the_changes_of_an_order(self, books: Books) -> None:
        """1, 2, 3 for each order."""
        order_id = books.place("ann")
        books.change(order_id, status="cancelled")
        assert [body["order"]["version"] for _, body in await bodies(books, "ann")] == [1, 2]

    async def test_http_9_line_breaks_in_an_order_stay_within_its_json(self, books: Books) -> None:
        """The frame of an event has the three lines that it should have."""
        books.place("ann", reason="a\r\nid: 666\n\nb", client_order_id="\u2028")
        [event] = await told(books, "ann")
        assert (event.frame.count(b"\n"), event.frame.count(b"\r")) == (4, 0)

    async def test_page_of_a_channel_is_its_newest_events(self, books: Books) -> None:
        """As many as a log holds, and up to the head."""
        for _ in range(5):
            books.place("ann")
        await books.settled()
        pages = await reader(books).channel_pages([("ann", 0), ("ann", 4), ("ann", NOTHING_AFTER), ("bob", 0)])
        found = [(page.head, page.oldest, [event.seq for event in page.events]) for page in pages.values()]
        assert sorted(found) == sorted([(5, 1, [3, 4, 5]), (5, 1, [5]), (5, 1, []), (0, 1, [])])

    async def test_page_of_a_channel_says_what_is_kept(self, books: Books) -> None:
        """Where retention took the oldest."""
        for _ in range(3):
            books.place("ann")
        await books.settled()
        books.retire("ann", 3)
        page = (await reader(books).channel_pages([("ann", 0)]))["ann", 0]
        assert (page.head, page.oldest) == (3, 3)

    async def test_events_after_is_a_bounded_page_of_the_oldest(self, books: Books) -> None:
        """The next page begins where it ends."""
        for _ in range(3):
            books.place("ann")
        await books.settled()
        _, page = await reader(books).events_after("ann", 0)
        assert [event.seq for event in page] == [1, 2]

    async def test_events_of_an_epoch_before_are_not_read(self, books: Books) -> None:
        """Their numbers no longer mean anything."""
        books.place("ann")
        await books.settled()
        epoch = books.renew_epoch()
        assert await reader(books).events_after("ann", 0) == (epoch, [])

    async def test_snap_2_a_snapshot_is_open_orders_and_those_that_ended_lately(self, books: Books) -> None:
        """Newest first; another user's are not in it."""
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        books.place("ann", status="filled", created_at=long_ago, updated_at=long_ago)
        old_open = books.place("ann", created_at=long_ago, updated_at=long_ago)
        ended = books.place("ann", status="rejected")
        books.place("bob")
        await books.settled()
        snapshot = (await reader(books).snapshots(["ann"]))["ann"]
        assert [msgspec.json.decode(order)["id"] for order in snapshot.orders] == [ended, old_open]
        assert snapshot.cursor.seq == 3

    async def test_snap_5_a_snapshot_keeps_the_newest_orders_where_there_are_too_many(self, books: Books) -> None:
        """The others are in the list."""
        ids = [books.place("ann") for _ in range(6)]
        await books.settled()
        snapshot = (await reader(books).snapshots(["ann"]))["ann"]
        assert [msgspec.json.decode(order)["id"] for order in snapshot.orders] == ids[:1:-1]

    async def test_pages_of_orders_join_without_loss(self, books: Books) -> None:
        """The key of one is where the next begins; the last has none."""
        ids = [books.place("ann") for _ in range(3)]
        first = await reader(books).orders_page("ann", **ALL, limit=2)
        second = await reader(books).orders_page("ann", **(ALL | {"before": first.next_key}), limit=2)
        found = [msgspec.json.decode(order)["id"] for order in (*first.orders, *second.orders)]
        assert (found, second.next_key) == (ids[::-1], None)

    async def test_orders_are_filtered(self, books: Books) -> None:
        """By whether they are open, and by symbol."""
        wanted = books.place("ann", symbol="MSFT")
        books.place("ann", symbol="MSFT", status="filled")
        books.place("ann")
        page = await reader(books).orders_page("ann", open_=True, symbol="MSFT", before=None, limit=9)
        assert [msgspec.json.decode(order)["id"] for order in page.orders] == [wanted]

    @pytest.mark.parametrize("key", [("", ""), ("yesterday?", "x"), ("2026-01-01", "x")])
    async def test_key_of_a_page_that_is_none_is_refused(self, books: Books, key: tuple[str, str]) -> None:
        """A client made it up."""
        with pytest.raises(InvalidParameter):
            await reader(books).orders_page("ann", **(ALL | {"before": key}), limit=1)

    @pytest.mark.parametrize("order_id", ["x", "00000000-0000-0000-0000-000000000000", "bob's"])
    async def test_order_of_another_user_is_not_there(self, books: Books, order_id: str) -> None:
        """Nor is one that nobody has."""
        bobs = books.place("bob")
        with pytest.raises(NotFound, match=r"^there is no such order$"):
            await reader(books).order("ann", bobs if order_id == "bob's" else order_id)

    async def test_events_of_an_order_are_its_users_alone(self, books: Books) -> None:
        """Each of them sees what they were told of it; one who was told nothing, that there is none."""
        order_id = books.place("bob")
        books.execute(order_id)
        books.change(order_id, user_id="ann")
        await books.settled()
        told = {
            user_id: [event.name for event in await reader(books).order_events(user_id, order_id, after=0, limit=9)]
            for user_id in ("bob", "ann")
        }
        assert told == {"bob": ["order", "execution", "order-removed"], "ann": ["order"]}
        with pytest.raises(NotFound, match=r"^there is no such order$"):
            await reader(books).order_events("cid", order_id, after=0, limit=9)

    async def test_events_of_an_order_go_on_after_a_number(self, books: Books) -> None:
        """So many at most; and what is kept of an order that is gone."""
        order_id = books.place("ann")
        for status in ("partially_filled", "filled"):
            books.change(order_id, status=status)
        books.remove(order_id)
        await books.settled()
        page = await reader(books).order_events("ann", order_id, after=1, limit=2)
        assert [event.frame for event in page] == [event.frame for event in (await told(books, "ann"))[1:3]]
        assert list(await reader(books).order_events("ann", order_id, after=4, limit=2)) == []

    @pytest.mark.parametrize("order_id", ["x", "00000000-0000-0000-0000-000000000000"])
    async def test_events_of_no_order_are_not_there(self, books: Books, order_id: str) -> None:
        """Also where it can be no order's id."""
        with pytest.raises(NotFound, match=r"^there is no such order$"):
            await reader(books).order_events("ann", order_id, after=0, limit=9)

    async def test_renamings_are_what_the_events_say_last(self, books: Books) -> None:
        """A name whose request was refused and asked again; of nobody else's order."""
        order_id = books.place("ann", client_order_id="X")
        for name, original in (("Z", "X"), ("Y", "X"), ("Y", None), ("Z", "Y")):
            books.change(order_id, client_order_id=name, original_client_order_id=original)
        await books.settled()
        assert await reader(books).renamings("ann", order_id) == {"Y": "X", "Z": "Y"}
        assert await reader(books).renamings("bob", order_id) == {}

    async def test_pages_of_executions_join_without_loss(self, books: Books) -> None:
        """Newest first, of the user's own orders; three of them at one time."""
        at = datetime(2026, 1, 2, tzinfo=UTC)
        order_id, theirs = books.place("ann"), books.place("bob")
        ids = {books.execute(order_id, executed_at=at) for _ in range(3)} | {books.execute(order_id)}
        books.execute(theirs, executed_at=at)
        found, key = list[str](), None
        while not found or key is not None:
            page = await reader(books).executions_page("ann", Statement(at, symbol="AAPL", before=key, limit=2))
            found += [msgspec.json.decode(one)["id"] for one in page.executions]
            key = page.next_key
        assert (len(found), set(found)) == (4, ids)

    async def test_executions_are_chosen_by_time_and_symbol(self, books: Books) -> None:
        """From a time on, to before another."""
        order_id = books.place("ann")
        days = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
        ids = [books.execute(order_id, executed_at=day) for day in days]
        page = await reader(books).executions_page("ann", Statement(days[1], days[2]))
        assert [msgspec.json.decode(one)["id"] for one in page.executions] == ids[1:2]


class TestMemoryStore(StoreContract):
    """The adapter of the web tier's tests."""

    @pytest.fixture
    def books(self) -> MemoryStore:
        return MemoryStore(SETTINGS)


@pytest.mark.every_postgres
class TestPostgresStore(StoreContract):
    """The one that is shipped, with the triggers and a Sequencer behind it."""

    @pytest.fixture
    async def books(self, database: str) -> AsyncIterator[PostgresBooks]:
        meter = PrometheusMeter()
        sequencer = Sequencer(database, SequencerSettings(election_s=0.2), lambda batch: None, meter)
        running = asyncio.create_task(sequencer.run())
        pool = Pool(database, size=2, timeout_s=10)
        books = PostgresBooks(database, PostgresStore(pool, SETTINGS), SETTINGS)
        yield books
        books.close()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await pool.close()

    async def test_evt_5_an_execution_that_was_updated_is_told_again(self, books: PostgresBooks) -> None:
        """As it is now, under its id."""
        execution_id = books.execute(books.place("ann"), quantity="1")
        books.execute_sql("update executions set quantity = 2 where id = %s", [execution_id])
        news = [body["execution"] for name, body in await bodies(books, "ann") if name == "execution"]
        assert [(one["id"], one["quantity"]) for one in news] == [(execution_id, 1), (execution_id, 2)]

    async def test_evt_5_an_execution_that_was_deleted_is_not_news(self, books: PostgresBooks) -> None:
        """Archiving is not for clients."""
        execution_id = books.execute(books.place("ann"))
        books.execute_sql("delete from executions where id = %s", [execution_id])
        assert len(await told(books, "ann")) == 2

    async def test_evt_8_what_no_client_can_see_is_no_event(self, books: PostgresBooks) -> None:
        """An update that leaves the document as it was."""
        books.place("ann")
        books.execute_sql("update orders set status = status")
        assert len(await told(books, "ann")) == 1

    async def test_evt_11_odd_event_says_so_at_its_end_and_others_say_nothing(self, books: PostgresBooks) -> None:
        """Nothing else of it is another."""
        order_id = books.place("ann")
        books.change(order_id, filled_quantity="11", status="partially_filled")
        fine, odd = await told(books, "ann")
        document, _ = await reader(books).order("ann", order_id)
        assert b'"check"' not in fine.body
        assert odd.body.startswith(b'{"order":' + document + b',"exec_type":"trade",')
        said = b'"verdict":"impossible","rule":"over-filled","text":"More is filled than was ordered."'
        assert odd.body.endswith(b'Z","check":{' + said + b"}}")

    async def test_evt_9_what_was_rolled_back_leaves_no_event_and_no_number(self, books: PostgresBooks) -> None:
        """Neither a whole transaction nor a part of one."""
        order_id = books.place("ann")
        change = f"update orders set price = 5 where id = '{order_id}'"
        books.execute_sql(f"begin; {change}; rollback")
        books.execute_sql(f"begin; savepoint s; {change}; rollback to s; update orders set price = 6; commit")
        found = [(event.seq, msgspec.json.decode(event.body)["order"]["price"]) for event in await told(books, "ann")]
        assert found == [(1, None), (2, 6)]

    @pytest.mark.parametrize("table", ["orders", "executions"])
    async def test_evt_10_truncate_is_refused(self, books: PostgresBooks, table: str) -> None:
        """Clients could not be told which orders are gone."""
        with pytest.raises(psycopg2.errors.FeatureNotSupported, match="clients would not be told"):
            books.execute_sql(f"truncate {table} cascade")
