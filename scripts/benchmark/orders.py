"""Tables with orders: those of the project, with its triggers, with a NOTIFY for each row as tutorials have it, or
bare."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from orderstream.demo.embedded import EmbeddedPostgres
from orderstream.postgres import migrations
from scripts.benchmark.child import Child, Trouble, program

KINDS = ("ours", "notify", "none")

# What peers listen on; the payload is the user, a line feed, and the JSON.
NOTIFY_CHANNEL = "orders_changed"

# The application_name of programs/writer.py.
WRITER = "orderstream-bench-writer"

# One more of each is filled by each update, and so it is called: what a check found odd would be longer for it.
# Order n is that of user `u<n modulo users>`, by an id that can be computed from n.
_FILL = """
insert into public.orders (id, user_id, client_order_id, symbol, asset_class, side, order_type, time_in_force, platform,
                           quantity, price, filled_quantity, status)
select md5(n::text)::uuid, %(prefix)s || (n %% %(users)s), 'web-' || n, 'ACME', 'stock', 'buy', 'limit', 'gtc', 'web',
       1000000000, 230.25, 1, 'partially_filled'
from generate_series(%(first)s, %(last)s) as n
"""
_WITHOUT_OURS = """
drop schema orderstream cascade;
drop trigger orders_count_version on public.orders;
"""
_NOTIFY = f"""
create function public.orders_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('{NOTIFY_CHANNEL}', new.user_id || chr(10) || row_to_json(told)::text)
    from (select new as "order", old.status as previous_status,
                 to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as written_at) as told;
    return null;
end $$;
create trigger orders_notify after update on public.orders for each row execute function public.orders_notify();
"""
UPDATE = "update public.orders set filled_quantity = filled_quantity + 1 where id = md5(:n::text)::uuid;"


class Orders:
    """One database; `fill` it, then let it be written to."""

    def __init__(self, postgres: EmbeddedPostgres, kind: str) -> None:
        self.kind = kind
        self._postgres = postgres
        name = f"orders_{kind}"
        self.dsn = postgres.dsn(name)
        self._run_at(postgres.dsn(), f"create database {name}")
        migrations.apply(self.dsn)
        if kind != "ours":
            self.run(_WITHOUT_OURS)
        if kind == "notify":
            self.run(_NOTIFY)
        self._filled: set[tuple[int, int]] = set()

    @property
    def server_pid(self) -> int:
        """The Postgres's, which all its sessions are children of."""
        pid = self._postgres.pid
        if pid is None:
            raise Trouble("Postgres has ended")
        return pid

    def run(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Each statement in a transaction of its own."""
        return self._run_at(self.dsn, sql, parameters)

    @staticmethod
    def _run_at(dsn: str, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(dsn)) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []

    def fill(self, count: int, *, first: int = 0, users: int | None = None, prefix: str = "u") -> None:
        """Orders `first` … of so many users, that nobody is told of; those that are there already stay."""
        if (first, count) in self._filled:
            return
        self._filled.add((first, count))
        parameters = {"first": first, "last": first + count - 1, "users": users or count, "prefix": prefix}
        self.run(
            f"set session_replication_role = replica; {_FILL} on conflict do nothing; analyze public.orders",
            parameters,
        )

    def tidy(self) -> None:
        """What one round left behind is not the next one's to clear away."""
        self.run("vacuum public.orders")
        if self.kind == "ours":
            self.run("vacuum orderstream.outbox_rows")
        self.run("checkpoint")

    def writer(self, folder: Path, core: int | None, *options: object, name: str = "writer") -> Child:
        """programs/writer.py on this database, under way; `name` is that of its log."""
        command = [sys.executable, "-m", "scripts.benchmark.programs.writer", self.dsn, *map(str, options)]
        return Child(name, command, folder, core=core)

    def end(self, writer: Child) -> None:
        """Before it is done, and returns when what it had sent is committed, or never will be."""
        writer.stop()
        self.run(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where application_name = %s and datname = current_database()",
            [WRITER],
        )

    def listener(self, folder: Path, core: int | None, count: int = 0) -> Child:
        """programs/listener.py, listening by now; without a count it does so until it is stopped."""
        command = [sys.executable, "-m", "scripts.benchmark.programs.listener", self.dsn, str(count)]
        child = Child("listener", command, folder, core=core)
        child.wait_for(lambda: "listening" in child.log.read_text())
        return child

    def pgbench(self, folder: Path, core: int | None, *, clients: int, seconds: float, orders: int) -> Child:
        """pgbench updating random orders as fast as it can, under way; its log says how fast."""
        script = folder / "update.sql"
        script.write_text(f"\\set n random(0, {orders - 1})\n{UPDATE}\n")
        pgbench = self._postgres.bin_path / "pgbench"
        found = str(pgbench) if pgbench.exists() else program("pgbench")
        if found is None:
            raise Trouble("pgbench is not installed")
        options = ["-n", "-M", "prepared", "-f", str(script), "-c", str(clients), "-j", "1", "-T", str(round(seconds))]
        return Child("pgbench", [found, *options, "-d", self.dsn], folder, core=core)


def tps(child: Child) -> float:
    """Transactions a second of a pgbench that has ended."""
    child.finish()
    for line in child.log.read_text().splitlines():
        if line.startswith("tps = "):
            return float(line.split()[2])
    raise Trouble("pgbench did not say how fast it was")
