"""What befalls the orders: very many, very large, very strange; and events that are gone before they are read."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import psycopg2

from tests.faults.catalogue import fault
from tests.faults.network import Weather
from tests.faults.stage import Stage
from tests.faults.writers import BEACON, USERS
from tests.system.tables import insert_order

BULK_ROWS = 100_000
TRADER = "eve"
_INSERT = (
    "insert into orders (user_id, symbol, asset_class, side, order_type, platform, quantity, filled_quantity, status,"
    " reason) "
)
ONE = _INSERT + "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
MANY = _INSERT + (
    "select %s, 'BULK', 'stock', 'buy', 'market', 'web', 1, 0, 'filled', null from generate_series(1, %s) n"
)
# What a platform may write by mistake. A NUL is the only character that Postgres itself refuses.
STRANGE = [
    ("Infinity", "NaN", "no_such_status", "emoji 🦀 👩‍👩‍👧‍👦"),
    ("-Infinity", "0", "", "\x01\x02\x1f\x7f\x85\u2028\u2029"),
    ("NaN", "Infinity", "filled\r\n\r\nevent: goaway\r\ndata: {}", 'quotes " \\ \\u0000 </script>'),
    (None, "0.000000000000000000000000000001", "\ufeffsubmitted", "\r\n\r\n:\n\ndata: x\n\n"),
    ("1e300", "-1", "new" * 1000, "x" * 100_000),
    ("1", "12345678901234567890.123456789", "cancelled", "\ud7ff\ue000\U0010ffff"),
]


# 200,000 events to each of four clients, all read and written down by one Python program: it took 215 s where others
# had most of the machine.
@fault(0, live_s=400.0)
async def bulk_update(stage: Stage) -> AsyncIterator[None]:
    """100,000 orders of one user, whom four clients follow, are inserted in one statement and updated in another."""
    with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
        insert_order(cursor, str(uuid.uuid4()), TRADER, BEACON)
        session.commit()
    for transport in ("sse", "poll"):
        stage.follow(TRADER, transport, stage.home)
        stage.follow(TRADER, transport, stage.office)
    await asyncio.to_thread(stage.execute, MANY, TRADER, BULK_ROWS)
    await asyncio.to_thread(stage.execute, "update orders set status = 'cancelled' where symbol = 'BULK'")
    yield


@fault(1)
async def events_large_and_small(stage: Stage) -> AsyncIterator[None]:
    """Events of 1 MB, of 100 KB and of as little as there is, in turn."""
    with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
        for size in (900_000, 1, 100_000, 0, 1, 1_000_000):
            for user in USERS:
                order = (user, "S", "stock", "buy", "market", "web", 1, 0, "x", "r" * size)
                cursor.execute(ONE, order)
            session.commit()
            await asyncio.sleep(0.1)
    yield


@fault(1)
async def rows_malformed(stage: Stage) -> AsyncIterator[None]:
    """A status that nobody knows, NaN, infinity, null, emoji, control characters, a reason of 100 KB; and a user whom
    nobody can be."""
    with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
        for order in _strange():
            cursor.execute(ONE, order)
            session.commit()
        cursor.execute("update orders set quantity = 'NaN', price = 'Infinity' where symbol like 'STRANGE%'")
        session.commit()
    yield


def _strange() -> Iterator[tuple[object, ...]]:
    for user in [*USERS, "", "u" * 2000]:
        for quantity, filled, status, reason in STRANGE:
            yield user, "STRANGE\t\u202e", "\x7f", "", "\n", "", quantity, filled, status, reason


@fault(4, 6, resets=frozenset({"cursor-expired"}), retention_events_s=1.0, retention_every_s=0.2)
async def retention_overtakes(stage: Stage) -> AsyncIterator[None]:
    """Events are kept for a second only, and those at home are away for longer: their cursors are gone."""
    with stage.home.weather(Weather(refused=True)):
        yield
