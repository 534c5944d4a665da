"""Migrations against real servers, with folders of their own: what ours contain is tested elsewhere."""

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from pathlib import Path

import psycopg2
import pytest

from orderstream.errors import DatabaseUnreachable, SchemaError, SettingsError
from orderstream.postgres import migrations
from orderstream.postgres.migrations import Migration

NewDatabase = Callable[..., str]

ONE = "create table public.one (x int);"
TWO = "create table public.two (x int); insert into public.two values (1);"


@pytest.fixture
def empty(new_database: NewDatabase) -> str:
    return new_database(migrated=False)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., list[Migration]]:
    """Writes files under a root of their own and reads them as migrations."""

    def write(**files: str) -> list[Migration]:
        for set_name in migrations.SETS:
            (tmp_path / set_name).mkdir(exist_ok=True)
        for name, sql in files.items():
            set_name, _, rest = name.partition("_")
            (tmp_path / set_name / f"{rest}.sql").write_text(sql)
        return migrations.packaged(tmp_path)

    return write


def query(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(dsn)) as session, session, session.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def names(found: list[Migration]) -> list[str]:
    return [migration.file for migration in found]


def test_packaged_sets_apply_tables_first() -> None:
    """The platform's tables come before what is put on them, and both sets are in the package."""
    sets = [migration.set_name for migration in migrations.packaged()]
    assert sets == sorted(sets, key=migrations.SETS.index)
    assert set(sets) == set(migrations.SETS)


def test_packaged_migrations_apply_to_an_empty_database(empty: str) -> None:
    """What ships applies as a whole, is then current, and leaves nothing to do."""
    assert migrations.apply(empty) == migrations.packaged()
    assert migrations.plan(empty) == []
    migrations.check_current(empty)


def test_apply_runs_in_order_and_reports_each_file(empty: str, folder: Callable[..., list[Migration]]) -> None:
    """Sets in their order, numbers within, each told before it runs."""
    told: list[str] = []
    mine = folder(orderstream_0001_b="select 1 from public.one", tables_0001_a=ONE, orderstream_0002_c=TWO)
    migrations.apply(empty, report=told.append, migrations=mine)
    assert told == [
        "applying tables/0001_a.sql",
        "applying orderstream/0001_b.sql",
        "applying orderstream/0002_c.sql",
    ]


def test_plan_writes_nothing(empty: str, folder: Callable[..., list[Migration]]) -> None:
    """A dry run lists what is pending and leaves no schema behind."""
    mine = folder(tables_0001_a=ONE)
    assert migrations.plan(empty, migrations=mine) == mine
    assert query(empty, "select to_regnamespace('orderstream'), to_regclass('public.one')") == [(None, None)]


def test_status_tells_when_each_was_applied(empty: str, folder: Callable[..., list[Migration]]) -> None:
    """Applied ones carry an aware UTC time, pending ones None."""
    migrations.apply(empty, migrations=folder(orderstream_0001_a=ONE))
    first, second = migrations.status(empty, migrations=folder(orderstream_0002_b=TWO))
    assert first.applied_at is not None
    assert first.applied_at.tzinfo is UTC
    assert second.applied_at is None


def test_failed_migration_leaves_nothing_of_itself(empty: str, folder: Callable[..., list[Migration]]) -> None:
    """The error names the file; what came before it stays, and a mended file applies."""
    mine = folder(orderstream_0001_a=ONE, orderstream_0002_b="create table public.two (x int); select 1/0;")
    with pytest.raises(SchemaError, match=r"^orderstream/0002_b\.sql failed: division by zero$"):
        migrations.apply(empty, migrations=mine)
    assert names(migrations.apply(empty, migrations=folder(orderstream_0002_b=TWO))) == ["orderstream/0002_b.sql"]


def test_edited_migration_is_refused(empty: str, folder: Callable[..., list[Migration]]) -> None:
    """A file that is not what was applied is named."""
    migrations.apply(empty, migrations=folder(orderstream_0001_a=ONE))
    with pytest.raises(SchemaError, match=r"^orderstream/0001_a\.sql was edited"):
        migrations.plan(empty, migrations=folder(orderstream_0001_a=TWO))


def test_line_ends_are_no_edit(folder: Callable[..., list[Migration]]) -> None:
    """A checkout with Windows line ends has the same checksum."""
    assert folder(orderstream_0001_a="select\r\n1") == folder(orderstream_0001_a="select\n1")


def test_unknown_applied_migration_is_refused(empty: str, folder: Callable[..., list[Migration]]) -> None:
    """A database that a newer program migrated is not touched."""
    older = folder(orderstream_0001_a=ONE)
    migrations.apply(empty, migrations=folder(orderstream_0002_b=TWO))
    with pytest.raises(SchemaError, match=r"newer than this program: it has orderstream/0002_b\.sql"):
        migrations.apply(empty, migrations=older)


def test_gap_in_files_is_refused(folder: Callable[..., list[Migration]]) -> None:
    """A number left out is named."""
    with pytest.raises(SchemaError, match=r"orderstream/0002 is missing before orderstream/0003_c\.sql"):
        folder(orderstream_0001_a=ONE, orderstream_0003_c=TWO)


def test_gap_in_the_database_is_refused(empty: str, folder: Callable[..., list[Migration]]) -> None:
    """A record that somebody removed by hand is noticed."""
    mine = folder(orderstream_0001_a=ONE, orderstream_0002_b=TWO)
    migrations.apply(empty, migrations=mine)
    query(empty, "delete from orderstream.migrations where number = 1")
    with pytest.raises(SchemaError, match=r"orderstream/0001 is missing before orderstream/0002_b\.sql"):
        migrations.plan(empty, migrations=mine)


def test_misnamed_file_is_refused(folder: Callable[..., list[Migration]]) -> None:
    """A file that would silently never apply is an error."""
    with pytest.raises(SchemaError, match=r"orderstream/1_a\.sql is not named NNNN_name\.sql"):
        folder(orderstream_1_a=ONE)


def test_missing_columns_are_listed_when_tables_are_left_out(empty: str) -> None:
    """One line with every column that the platform's tables lack."""
    query(empty, "create table public.orders (id uuid)")
    with pytest.raises(SchemaError, match=r"lack: orders\.user_id, .*executions\.id, .*executed_at$"):
        migrations.apply(empty, with_tables=False)


def test_times_without_a_zone_are_refused(empty: str) -> None:
    """They are other times in the writer's session than in ours: an event and a snapshot would disagree."""
    for migration in migrations.packaged():
        if migration.set_name == migrations.TABLES:
            query(empty, migration.sql.replace("updated_at      timestamptz", "updated_at timestamp"))
    with pytest.raises(SchemaError, match=r"need timestamp with time zone for: orders\.updated_at$"):
        migrations.apply(empty, with_tables=False)


def test_left_out_tables_may_be_of_another_make(empty: str) -> None:
    """A platform's own tables with the columns needed are enough, and the database is current then."""
    for migration in migrations.packaged():
        if migration.set_name == migrations.TABLES:
            query(empty, migration.sql)
    applied = migrations.apply(empty, with_tables=False)
    assert {migration.set_name for migration in applied} == {migrations.OURS}
    migrations.check_current(empty)


def test_check_current_asks_for_migrate_when_something_is_pending(
    empty: str, folder: Callable[..., list[Migration]]
) -> None:
    """Both a database never migrated and one that lacks the last migration are told apart from a good one."""
    wanted = re.escape("the database is not migrated: run `orderstream migrate`")
    older = folder(tables_0001_a=ONE)
    with pytest.raises(SchemaError, match=wanted):
        migrations.check_current(empty, migrations=folder(orderstream_0001_b=TWO))
    migrations.apply(empty, migrations=older)
    with pytest.raises(SchemaError, match=wanted):
        migrations.check_current(empty, migrations=folder(orderstream_0001_b=TWO))


def test_ten_programs_at_once_apply_everything_once(empty: str) -> None:
    """One applies, the others wait and find nothing to do; none fails."""
    program = "import sys; from orderstream.postgres import migrations as m; print(len(m.apply(sys.argv[1])))"
    running = [
        subprocess.Popen([sys.executable, "-c", program, empty], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(10)
    ]
    said = sorted(int(child.communicate(timeout=150)[0]) for child in running)
    assert said == [0] * 9 + [len(migrations.packaged())]


def test_a_migration_does_not_queue_behind_a_long_lock(
    empty: str, folder: Callable[..., list[Migration]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up after the lock time-out rather than hold up every writer behind it."""
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "50ms")
    migrations.apply(empty, migrations=folder(orderstream_0001_a=ONE))
    with closing(psycopg2.connect(empty)) as writer, writer.cursor() as cursor:
        cursor.execute("insert into public.one values (1)")
        with pytest.raises(SchemaError, match=r"^orderstream/0002_b\.sql waited 50ms for a lock: try again$"):
            migrations.apply(empty, migrations=folder(orderstream_0002_b="alter table public.one add y int"))


def test_other_encodings_are_refused(empty: str) -> None:
    """JSON bodies need all of Unicode."""
    dbname = "latin"
    query_outside(empty, f"create database {dbname} template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
    try:
        with pytest.raises(SchemaError, match="encoding is LATIN1: it must be UTF8"):
            migrations.plan(re.sub(r"/test_\d+", f"/{dbname}", empty))
    finally:
        query_outside(empty, f"drop database {dbname} with (force)")


def query_outside(dsn: str, sql: str) -> None:
    with closing(psycopg2.connect(dsn)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(sql)


def test_old_servers_are_refused(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version wanted is named."""
    monkeypatch.setattr(migrations, "OLDEST_SERVER", 99)
    with pytest.raises(SchemaError, match=r"Postgres \d+ is too old: 99 or newer is needed"):
        migrations.plan(empty)


@pytest.mark.parametrize("password", ["hunter2", "p%40ss%2Fhunter2"])
def test_unreachable_database_is_one_line_without_the_password(password: str) -> None:
    """Where it was looked for and why it failed, never what was to be kept secret."""
    with pytest.raises(DatabaseUnreachable, match=r"cannot reach the database 127\.0\.0\.1:1/db: .*refused") as caught:
        migrations.plan(f"postgresql://me:{password}@127.0.0.1:1/db", timeout_s=0)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("password", ["hun@ter2", "hun/ter2", "hun?ter2", "hun#ter2@x", "hun:ter/2"])
def test_unescaped_password_is_not_quoted_back(password: str) -> None:
    """libpq would name a piece of it as the host or the port."""
    with pytest.raises(SettingsError, match="database_url cannot be read") as caught:
        migrations.plan(f"postgresql://me:{password}@127.0.0.1:1/db", timeout_s=0)
    assert "hun" not in str(caught.value)


def test_unknown_database_fails_at_once(empty: str) -> None:
    """A server that answers no is not asked again until the time is up."""
    absent = re.sub(r"/test_\d+", "/absent", empty)
    with pytest.raises(DatabaseUnreachable, match='database "absent" does not exist'):
        migrations.plan(absent, timeout_s=3600)
