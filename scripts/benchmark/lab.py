"""Where it is measured: the cores, a folder, a Postgres with a database for each kind of trigger, and what is said."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from statistics import median

import psycopg2

from orderstream.demo.embedded import EmbeddedPostgres
from scripts.benchmark import proc
from scripts.benchmark.child import Trouble, program
from scripts.benchmark.orders import Orders
from scripts.fleet.fleet import Fleet

# Room for what is measured, so that no checkpoint falls into one round and not into the other.
POSTGRES = {
    "shared_buffers": "256MB",
    "max_wal_size": "8GB",
    "min_wal_size": "2GB",
    "checkpoint_timeout": "30min",
    "max_connections": "120",
}


# A server that has run for a while writes over segments of WAL that it has. One that makes each new one holds all
# commits up for as long as 16 MB take to be written and flushed.
_SEGMENTS = """
do $$ begin
    for segment in 1..100 loop
        perform pg_logical_emit_message(false, 'orderstream', ''), pg_switch_wal();
    end loop;
end $$;
checkpoint
"""


def started(folder: Path, settings: Mapping[str, str] = POSTGRES) -> EmbeddedPostgres:
    """A Postgres as one that has run for a while."""
    made = EmbeddedPostgres(folder, settings=settings)
    try:
        made.start()
        with closing(psycopg2.connect(made.dsn())) as session, session.cursor() as cursor:
            session.autocommit = True
            cursor.execute(_SEGMENTS)
    except BaseException:
        made.close()
        raise
    return made


def pace_ms() -> float:
    """What a million additions take, the median of nine: others on the same hardware show in it, and in no load."""
    took_s = []
    for _ in range(9):
        began, total = time.perf_counter(), 0
        for number in range(1_000_000):
            total += number
        took_s.append(time.perf_counter() - began)
    return median(took_s) * 1000


class Lab:
    """`quick` for numbers that show that it works, and nothing else; `rounds` how often each thing is measured, and
    `long_rounds` how often what takes long; `profile` whether it is also asked where the CPU time goes."""

    def __init__(self, folder: Path, *, quick: bool, rounds: int, profile: bool = False) -> None:
        self.folder = folder
        self.profile = profile
        self.quick = quick
        self.rounds = rounds
        self.long_rounds = max(1, rounds - 1)
        # What else runs here makes every figure worse.
        self.load_before = os.getloadavg()[0]
        self.pace_before_ms = pace_ms()
        cores = sorted(os.sched_getaffinity(0))
        self.is_pinned = len(cores) > 1 and program("taskset") is not None
        self.server_core = cores[0] if self.is_pinned else None
        self.other_core = cores[1] if self.is_pinned else None
        self.cores = cores[:2]
        if self.other_core is not None:
            # Ourselves, and with us Postgres and what writes.
            os.sched_setaffinity(0, {self.other_core})
        self._began = time.monotonic()
        self._postgres: EmbeddedPostgres | None = None
        self._orders: dict[str, Orders] = {}
        self.troubles: list[str] = []

    @contextmanager
    def all_cores(self) -> Iterator[None]:
        """Inside, nothing is pinned that runs or is started, Postgres with it."""
        if not self.is_pinned:
            yield
            return
        pinned = (self.server_core, self.other_core)
        here = os.sched_getaffinity(0)
        self.server_core = self.other_core = None
        try:
            self._pin(set(self.cores))
            yield
        finally:
            self.server_core, self.other_core = pinned
            self._pin(here)

    def _pin(self, cores: set[int]) -> None:
        """Ourselves, what we start from now on, and Postgres."""
        postgres = self.postgres.pid
        assert postgres is not None
        for pid in (0, *proc.family(postgres)):
            # A session may end meanwhile.
            with suppress(ProcessLookupError):
                os.sched_setaffinity(pid, cores)

    def few(self, many: int, few: int) -> int:
        """`many`, or `few` where it has to be quick."""
        return few if self.quick else many

    def say(self, line: str) -> None:
        """Progress, on standard error, with the time since the start."""
        passed_s = int(time.monotonic() - self._began)
        print(f"{passed_s // 60:2}:{passed_s % 60:02} {line}", file=sys.stderr, flush=True)

    def attempt(self, who: str, measure: Callable[[], int]) -> int:
        """What it gives, events missed; 0 where it could not be measured, which is said and written down."""
        try:
            return measure()
        except (Trouble, OSError, psycopg2.Error) as trouble:
            self.say(f"  not measured: {trouble}")
            self.troubles.append(f"{who} was not measured in a round: {trouble}")
            return 0

    @property
    def postgres(self) -> EmbeddedPostgres:
        if self._postgres is None:
            self.say("starting a Postgres")
            self._postgres = started(self.folder / "postgres")
        return self._postgres

    def orders(self, kind: str) -> Orders:
        """The database with those triggers: `ours`, `notify` (a NOTIFY for each row) or `none`."""
        if kind not in self._orders:
            self._orders[kind] = Orders(self.postgres, kind)
        return self._orders[kind]

    @contextmanager
    def fleet(self) -> Iterator[Fleet]:
        """Clients, all of them closed at the end."""
        fleet = Fleet()
        try:
            yield fleet
        finally:
            fleet.close()

    def close(self) -> None:
        if self._postgres is not None:
            self._postgres.close()
