"""What befalls the database."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2

from tests.faults.catalogue import fault
from tests.faults.stage import PATIENCE_S, Stage
from tests.faults.writers import USERS
from tests.system.tables import insert_order
from tests.waiting import eventually

# Whoever followed further than the new server reaches says so.
_SET_BACK = frozenset({"events-set-back"})
_TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'orderstream%%'"


@fault(0, 1, writes_fail=True)
async def postgres_killed(stage: Stage) -> AsyncIterator[None]:
    """Every program of the server is killed with -9, as where the machine lost its power."""
    await asyncio.to_thread(stage.postgres.kill)
    yield
    await asyncio.to_thread(stage.postgres.start)


@fault(0, 1, writes_fail=True)
async def postgres_restarted(stage: Stage) -> AsyncIterator[None]:
    """Stopped in its usual mode and started."""
    await asyncio.to_thread(stage.postgres.stop)
    yield
    await asyncio.to_thread(stage.postgres.start)


@fault(0, 1, writes_fail=True)
async def postgres_crashed(stage: Stage) -> AsyncIterator[None]:
    """Stopped in immediate mode and started, so that it recovers."""
    await asyncio.to_thread(stage.postgres.stop, immediate=True)
    yield
    await asyncio.to_thread(stage.postgres.start)


@fault(0)
async def connections_terminated(stage: Stage) -> AsyncIterator[None]:
    """The services' sessions are terminated, five times."""
    for _ in range(5):
        stage.execute(_TERMINATE)
        await asyncio.sleep(stage.random.uniform(0.1, 0.6))
    yield


@fault(2, 4, writes_fail=True)
async def read_only(stage: Stage) -> AsyncIterator[None]:
    """default_transaction_read_only is turned on while all are connected."""
    stage.postgres.execute("alter system set default_transaction_read_only = on")
    stage.postgres.execute("select pg_reload_conf()")
    yield
    with closing(psycopg2.connect(stage.postgres.dsn(), options="-c default_transaction_read_only=off")) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute("alter system reset default_transaction_read_only")
            cursor.execute("select pg_reload_conf()")


@fault(2, 4, private=True, disk_bytes=600 << 20, needs="" if os.geteuid() == 0 else "root's rights", writes_fail=True)
async def disk_full(stage: Stage) -> AsyncIterator[None]:
    """The file system of the database is full, to the last byte, until something is deleted."""
    filler = stage.postgres.home / "filler"
    await asyncio.to_thread(_fill, filler)
    yield
    filler.unlink()
    # A server that could not write its log has gone down.
    if stage.postgres.pid is None or not _answers(stage):
        with contextlib.suppress(Exception):
            await asyncio.to_thread(stage.postgres.stop, immediate=True)
        await asyncio.to_thread(stage.postgres.start)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1 << 20))
    with file.open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))


def _answers(stage: Stage) -> bool:
    try:
        stage.execute("select 1")
    except psycopg2.Error:
        return False
    return True


@fault(2, 4, writes_fail=True)
async def connections_exhausted(stage: Stage) -> AsyncIterator[None]:
    """max_connections is reached, and the services' sessions are terminated, so that they find no place."""
    with ExitStack() as stack:
        with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
            taken = asyncio.create_task(asyncio.to_thread(_take_all, stage, stack))
            await taken
            cursor.execute(_TERMINATE)
            session.commit()
            await asyncio.to_thread(_take_all, stage, stack)
        yield


def _take_all(stage: Stage, stack: ExitStack) -> None:
    with contextlib.suppress(psycopg2.OperationalError):
        while True:
            stack.enter_context(closing(psycopg2.connect(stage.database)))


@fault(0.5)
async def vacuum_full(stage: Stage) -> AsyncIterator[None]:
    """VACUUM FULL of the platform's tables and of all of ours."""
    tables = [
        "public.orders",
        "public.executions",
        "orderstream.outbox_rows",
        "orderstream.event_rows",
        "orderstream.checkpoints",
    ]
    for table in tables:
        await asyncio.to_thread(stage.postgres.execute, f"vacuum full {table}", stage.name)
    yield


@fault(1, 2)
async def column_added(stage: Stage) -> AsyncIterator[None]:
    """ALTER TABLE orders ADD COLUMN while all write, and DROP COLUMN again."""
    await asyncio.to_thread(stage.execute, "alter table orders add column desk text default 'north'")
    yield
    await asyncio.to_thread(stage.execute, "alter table orders drop column desk")


@fault(5, 8)
async def write_held(stage: Stage) -> AsyncIterator[None]:
    """A transaction that wrote an order of every user stays open."""
    with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
        for user in USERS:
            insert_order(cursor, str(uuid.uuid4()), user)
        yield
        session.commit()


@fault(5, 8, retention_every_s=0.5)
async def snapshot_held(stage: Stage) -> AsyncIterator[None]:
    """A transaction keeps its snapshot, so that nothing can be vacuumed."""
    with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
        session.set_session(isolation_level="REPEATABLE READ")
        cursor.execute("select count(*) from orders")
        yield


@fault(2, 5, doorbell=False)
async def transaction_prepared(stage: Stage) -> AsyncIterator[None]:
    """Transactions that wrote orders are prepared, one of them for the fault's time, and committed or rolled back."""
    names = [str(uuid.UUID(int=stage.random.getrandbits(128))) for _ in range(3)]
    with closing(psycopg2.connect(stage.database)) as session, session.cursor() as cursor:
        for name in names:
            session.tpc_begin(session.xid(1, name, "faults"))
            for user in USERS:
                insert_order(cursor, str(uuid.uuid4()), user)
            session.tpc_prepare()
            if name != names[-1]:
                session.tpc_commit() if name == names[0] else session.tpc_rollback()
        yield
        session.tpc_commit()


async def _promoted(stage: Stage, *, loses: bool) -> AsyncIterator[None]:
    """The standby takes over. Where it `loses`, it did not get what was committed last."""
    standby = await asyncio.to_thread(stage.postgres.standby)
    stage.closing.callback(standby.close)
    await eventually(lambda: _streams(stage), within_s=PATIENCE_S)
    if loses:
        [(epoch,)] = stage.execute("select epoch from orderstream.epochs order by id desc limit 1")
        standby.execute("alter system set primary_conninfo = ''")
        standby.execute("select pg_reload_conf()")
        stage.lost.add(epoch)
        await asyncio.sleep(2)
    else:
        stage.postgres.execute("alter system set synchronous_standby_names = '*'")
        stage.postgres.execute("select pg_reload_conf()")
        await eventually(lambda: _streams(stage, "sync"), within_s=PATIENCE_S)
    await asyncio.to_thread(stage.postgres.kill)
    yield
    await asyncio.to_thread(standby.promote)
    stage.postgres = standby
    for between in stage.networks:
        between.to_port = standby.tcp_port or 0


def _streams(stage: Stage, state: str = "%") -> bool:
    sql = f"select 1 from pg_stat_replication where state = 'streaming' and sync_state like '{state}'"
    return bool(stage.postgres.execute(sql))


@fault(0, 1, private=True, resets=frozenset({"epoch-changed"}), writes_fail=True)
async def standby_promoted(stage: Stage) -> AsyncIterator[None]:
    """The server dies, and its synchronous standby, which lost nothing, is promoted."""
    async for _ in _promoted(stage, loses=False):
        yield


# Until the epoch is renewed, a cursor of what was lost is one ahead of the new server.
@fault(
    *(0, 1),
    private=True,
    resets=frozenset({"epoch-changed", "cursor-ahead"}),
    complaints=_SET_BACK,
    writes_fail=True,
)
async def standby_promoted_with_loss(stage: Stage) -> AsyncIterator[None]:
    """The server dies, and a standby that missed the last two seconds is promoted: clients know what never was."""
    async for _ in _promoted(stage, loses=True):
        yield
