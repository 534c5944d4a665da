"""What an order write costs the writer: without triggers, with ours, with a NOTIFY for each row; on a slow disk too."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import psycopg2

from scripts.benchmark import goals, proc
from scripts.benchmark.child import Child, program
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import POSTGRES, Lab, started
from scripts.benchmark.orders import KINDS, UPDATE, Orders, tps
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.results import Results, Section, Table, spread, times
from scripts.benchmark.results import number as said
from scripts.benchmark.scenarios.latency import transactions
from scripts.fleet.fleet import Fleet
from scripts.fleet.tally import Ages

NONE, US, NOTIFY = "no triggers", "orderstream, delivering", "NOTIFY for each row"
_NAMES = {"none": NONE, "ours": US, "notify": NOTIFY}
_WRITERS = (1, 8, 32)
_SLOW_FLUSH_MS = 2
_BULK_FIRST = 10_000_000
_OTHERS = 100


def run(lab: Lab) -> Section:
    lab.orders("ours")
    with lab.all_cores():
        return _run(lab)


def _run(lab: Lab) -> Section:
    results, missed, notes = Results(), 0, list[str]()
    kinds = {kind: lab.orders(kind) for kind in KINDS}
    missed += _writers(lab, kinds, "fast", _WRITERS, results)
    flushes = f"A commit by itself, of one update without triggers, took {said(_commit_ms(lab, kinds['none']))} ms"
    if program("cc") is None:
        notes.append("**No slow disk**: a C compiler is missing, which makes one.")
    else:
        with _slow(lab) as slow_kinds:
            commit_ms = _commit_ms(lab, slow_kinds["none"])
            flushes += f", and {said(commit_ms)} ms on the slow disk"
            if commit_ms < _SLOW_FLUSH_MS:
                notes.append("**No slow disk**: the library did not hold its flushes up.")
            else:
                missed += _writers(lab, slow_kinds, "slow", (1, 32), results)
    missed += _bulk(lab, kinds, results)
    tables = [_table(results, "fast", "A disk as it is: updates a second", _WRITERS), _cpu_table(results)]
    if results.has(NONE, "slow 32"):
        tables.append(
            _table(results, "slow", f"A disk whose flush takes {_SLOW_FLUSH_MS} ms more: updates a second", (1, 32))
        )
    tables.append(_bulk_table(results, lab.few(100_000, 5000)))
    return Section(
        "d. Order path",
        f"pgbench updates random orders of {_streams(lab):,} users, each update a transaction. Without triggers, the "
        "table has none at all; with ours, the service runs and delivers each of them to its user's stream; NOTIFY for "
        "each row is a row trigger with the row as JSON, and one session takes what is notified and does nothing with "
        "it. Nothing is pinned: Postgres, pgbench, the service and the clients that it delivers to share the cores, so "
        "that ours pays for its clients too. The slow disk is a Postgres of its own, each of whose calls of fdatasync "
        f"is held up for {_SLOW_FLUSH_MS} ms by a library that is loaded before libc (`LD_PRELOAD`), as by a disk in a "
        f"network. {flushes}.",
        tables,
        {
            goals.WRITES_TO_NOTIFY: _to(results, "fast 32", NOTIFY),
            goals.SLOW_WRITES_TO_NOTIFY: _to(results, "slow 32", NOTIFY),
            goals.WRITES_TO_NONE: _to(results, "fast 32", NONE),
            goals.BULK_TO_NONE: results.ratios(US, NONE, "bulk s"),
            goals.BULK_OTHERS: results.of(US, "bulk max ms"),
        },
        missed=missed,
        notes=notes,
    )


def _commit_ms(lab: Lab, orders: Orders) -> float:
    """The median."""
    took_ms = []
    with closing(psycopg2.connect(orders.dsn)) as session, session.cursor() as cursor:
        session.autocommit = True
        for number in range(lab.few(200, 20)):
            began = time.perf_counter()
            cursor.execute(UPDATE.replace(":n", "%s"), [str(number)])
            took_ms.append((time.perf_counter() - began) * 1000)
    return median(took_ms)


def _streams(lab: Lab) -> int:
    return lab.few(1000, 200)


def _to(results: Results, what: str, other: str) -> list[float]:
    return results.ratios(US, other, what)


def _table(results: Results, disk: str, title: str, writers: tuple[int, ...]) -> Table:
    rows = []
    for name in _NAMES.values():
        row = [name]
        for count in writers:
            row += [spread(results.of(name, f"{disk} {count}")), times(_to(results, f"{disk} {count}", name))]
        rows.append(row)
    columns = [column for count in writers for column in (f"{count} writers", "ours to it")]
    return Table(title, ["", *columns], rows)


def _cpu_table(results: Results) -> Table:
    return Table(
        f"What an update costs in all, {_WRITERS[-1]} writers: µs CPU",
        ["", "Postgres", "to no triggers", "the service", "its clients"],
        [
            [
                name,
                spread(results.of(name, "postgres µs")),
                times(results.ratios(name, NONE, "postgres µs")),
                spread(results.of(name, "service µs")) if name == US else "–",
                spread(results.of(name, "clients µs")) if name == US else "–",
            ]
            for name in _NAMES.values()
        ],
        "Postgres with all its sessions, those of the service too. The clients are this benchmark's, which would be "
        "elsewhere.",
    )


def _bulk_table(results: Results, rows: int) -> Table:
    return Table(
        f"One update of {rows:,} rows",
        [
            *("", "seconds", "to no triggers", "another user's own update meanwhile, max ms"),
            *("other users' latency meanwhile, p50 ms", "max ms", "all delivered after, s"),
        ],
        [
            [
                name,
                spread(results.of(name, "bulk s")),
                times(results.ratios(name, NONE, "bulk s")),
                spread(results.of(name, "bulk own ms")),
                spread(results.of(name, "bulk p50 ms")),
                spread(results.of(name, "bulk max ms")),
                spread(results.of(name, "bulk delivered s")),
            ]
            for name in _NAMES.values()
        ],
        "Another user's order is updated every 10 ms meanwhile, with ours until the last of the rows is delivered; "
        "every user has a stream. What that update takes by itself, its commit's flush with it, is a part of the "
        "latency. The time to deliver all of them has the start of the program that updates in it.",
    )


def _writers(lab: Lab, kinds: dict[str, Orders], disk: str, writers: tuple[int, ...], results: Results) -> int:
    missed, streams = 0, _streams(lab)
    for orders in kinds.values():
        orders.fill(lab.few(15_000, 1500))
    with running(Ours(lab, database=kinds["ours"])) as peer, crowd(lab, peer) as held, _listening(lab, kinds["notify"]):
        held.grow(users(streams))
        for number in results.rounds(lab.rounds):
            for count in writers:
                lab.say(f"  {disk} disk, round {number}: {count} writers")
                for kind, orders in kinds.items():
                    orders.tidy()
                    held.tally.events, before = 0, held.faults()
                    used_s = _cpu_s(orders, peer)
                    pgbench = orders.pgbench(
                        lab.folder, lab.other_core, clients=count, seconds=lab.few(3, 1), orders=streams
                    )
                    held.fleet.turn_until(lambda child=pgbench: child.is_over, 60.0)  # type: ignore[misc]
                    results.add(_NAMES[kind], f"{disk} {count}", tps(pgbench))
                    updates = transactions(pgbench)
                    if kind == "ours":
                        missed += abs(held.receive(updates, None)) + held.faults() - before
                    if disk == "fast" and count == _WRITERS[-1]:
                        for what, after_s, before_s in zip(_PARTS, _cpu_s(orders, peer), used_s, strict=True):
                            results.add(_NAMES[kind], f"{what} µs", (after_s - before_s) * 1e6 / updates)
    return missed


_PARTS = ("postgres", "service", "clients")


def _cpu_s(orders: Orders, peer: Ours) -> tuple[float, ...]:
    """Used so far, by each of the parts."""
    return proc.cpu_with_ended_s(orders.server_pid), peer.cpu_s(), time.process_time()


@contextmanager
def _listening(lab: Lab, orders: Orders) -> Iterator[None]:
    """One session takes what is notified: with nobody there it would be thrown away, and be cheaper than it is."""
    listener = orders.listener(lab.folder, lab.server_core)
    try:
        yield
    finally:
        listener.stop()


@contextmanager
def _slow(lab: Lab) -> Iterator[dict[str, Orders]]:
    """The same databases on a Postgres whose flushes are held up."""
    lab.say("  starting a Postgres with a slow disk")
    folder = lab.folder / "slow"
    settings = POSTGRES | {"wal_sync_method": "fdatasync"}
    made = started(folder, settings)
    try:
        kinds = {kind: Orders(made, kind) for kind in KINDS}
        for orders in kinds.values():
            orders.fill(lab.few(15_000, 1500))
        made.stop()
        with _held_up(lab.folder):
            made.start()
        yield kinds
    finally:
        made.close()


@contextmanager
def _held_up(folder: Path) -> Iterator[None]:
    """What is started inside has a library before libc that sleeps in each fdatasync, by which Postgres flushes WAL."""
    source, library = folder / "slow.c", folder / "slow.so"
    source.write_text(_SLEEP)
    subprocess.run(
        [str(program("cc")), "-shared", "-fPIC", f"-DNS={_SLOW_FLUSH_MS}000000", "-o", str(library), str(source)],
        check=True,
    )
    before = os.environ.get("LD_PRELOAD")
    os.environ["LD_PRELOAD"] = str(library)
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"]
        if before is not None:
            os.environ["LD_PRELOAD"] = before


_SLEEP = """
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int fdatasync(int file) {
    struct timespec pause = {0, NS};
    nanosleep(&pause, 0);
    return syscall(SYS_fdatasync, file);
}
"""


def _bulk(lab: Lab, kinds: dict[str, Orders], results: Results) -> int:
    rows = lab.few(100_000, 5000)
    their_users = rows // 100
    for orders in kinds.values():
        orders.fill(rows, first=_BULK_FIRST, users=their_users, prefix="bulk")
    missed = 0
    with running(Ours(lab)) as peer, lab.fleet() as fleet, _listening(lab, kinds["notify"]):
        others, theirs = Crowd(lab, peer, fleet), Crowd(lab, peer, fleet)
        others.grow(users(_OTHERS))
        theirs.grow([f"bulk{number}" for number in range(their_users)])
        for number in results.rounds(lab.rounds):
            lab.say(f"  round {number}: one update of {rows} rows")
            for kind, orders in kinds.items():
                orders.tidy()
                if kind == "ours":
                    missed += _watched_bulk(lab, others, theirs, orders, rows, results)
                else:
                    _one_bulk(lab, fleet, orders, results)
    return missed


def _one_bulk(lab: Lab, fleet: Fleet, orders: Orders, results: Results) -> None:
    """What the update took, the commit with it; another user's orders are updated meanwhile."""
    trickle = _trickle(lab, orders)
    fleet.turn_for(0.3)
    bulk = orders.writer(lab.folder, lab.other_core, "--all-of", "bulk", "--count", 1, "--orders", 1)
    fleet.turn_until(lambda: bulk.is_over, 120.0)
    bulk.finish()
    orders.end(trickle)
    _add_times(_NAMES[orders.kind], bulk, trickle, results)


def _watched_bulk(lab: Lab, others: Crowd, theirs: Crowd, orders: Orders, rows: int, results: Results) -> int:
    """The same, with the streams of all users concerned; how many events were missed."""
    before = others.faults() + theirs.faults()
    written = _written(orders)
    others.tally.events = theirs.tally.events = 0
    others.tally.ages = Ages()
    trickle = _trickle(lab, orders)
    others.fleet.turn_for(0.3)
    began = time.monotonic()
    bulk = orders.writer(lab.folder, lab.other_core, "--all-of", "bulk", "--count", 1, "--orders", 1)
    missing = theirs.receive(rows, bulk)
    results.add(US, "bulk delivered s", time.monotonic() - began)
    orders.end(trickle)
    missing += others.receive(_written(orders) - written - rows, None)
    _add_times(US, bulk, trickle, results)
    results.add(US, "bulk p50 ms", others.tally.ages.quantile(0.5) * 1000)
    results.add(US, "bulk max ms", others.tally.ages.quantile(1.0) * 1000)
    return abs(missing) + others.faults() + theirs.faults() - before


def _add_times(name: str, bulk: Child, trickle: Child, results: Results) -> None:
    results.add(name, "bulk s", float(bulk.log.read_text()))
    results.add(name, "bulk own ms", float(trickle.log.read_text().split()[-1]) * 1000)


def _written(orders: Orders) -> int:
    """Updates of all orders so far: each adds 1."""
    ((total,),) = orders.run("select sum(filled_quantity)::bigint from public.orders")
    return int(total)


def _trickle(lab: Lab, orders: Orders) -> Child:
    """Another user's order every 10 ms, until it is stopped."""
    options = ("--count", 1_000_000, "--orders", _OTHERS, "--per-s", 100, "--say-longest")
    return orders.writer(lab.folder, lab.other_core, *options, name="trickle")
