"""Whether a process per core delivers twice as much."""

import time
from collections.abc import Callable
from functools import partial

from scripts.benchmark import proc
from scripts.benchmark.child import Child
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.results import Results, Section, Table, spread, times

US = "orderstream"
_FIRST = 6_000_000
_BATCH = 100
_PROCESSES = (1, 2)
# What is counted -> in words.
_WORK = {
    "opened": "streams opened",
    "random": "events delivered, each to one of many users",
    "devices": "events delivered, to one user's devices",
}


def run(lab: Lab) -> Section:
    title = "h. Footprint"
    if len(lab.cores) < 2:
        return Section(title, "Not measured: this machine has one core.")
    results, missed = Results(), 0
    lab.orders("ours").fill(lab.few(15_000, 1500))
    lab.orders("ours").fill(20, first=_FIRST, users=1, prefix="device")
    with lab.all_cores():
        for number in results.rounds(lab.long_rounds):
            for processes in _PROCESSES:
                lab.say(f"  round {number}: {processes} processes")
                missed += lab.attempt(US, partial(_measure, lab, processes, results))
    return Section(
        title,
        "`orderstream serve --processes N`, one port. Clients and Postgres are on the same two cores, and what they "
        "take is not there for a second process: so the clock does not say what a second core would bring. CPU time "
        'does: "with a core for each" is how much was done, divided by the CPU time of that process that used most, '
        "which would be busy first. One of the processes numbers the events for all. Memory is that of all processes, "
        f"{_streams(lab):,} streams open; the one that starts the others, and watches them, is in it.",
        [
            *(_table(results, what, done) for what, done in _WORK.items()),
            Table(
                "Memory of all processes",
                ["processes", "MB RSS"],
                [[str(processes), spread(results.of(US, f"MB {processes}"))] for processes in _PROCESSES],
            ),
        ],
        missed=missed,
    )


def _streams(lab: Lab) -> int:
    return lab.few(4000, 400)


def _table(results: Results, what: str, done: str) -> Table:
    rows = []
    for processes in _PROCESSES:
        row = [str(processes)]
        for how in ("per core", "per s"):
            row.append(spread(results.of(US, f"{what} {how} {processes}")))
            row.append(times(results.ratios(US, US, f"{what} {how} {processes}", f"{what} {how} 1")))
        rows.append(row)
    return Table(
        f"{done[0].upper()}{done[1:]}, a second",
        ["processes", "with a core for each", "to one process", "here, by the clock", "to one process"],
        rows,
    )


def _measure(lab: Lab, processes: int, results: Results) -> int:
    streams, events = _streams(lab), lab.few(20_000, 2000)
    devices, facts = lab.few(500, 50), lab.few(300, 50)
    with running(Ours(lab, processes=processes, max_streams_per_user=1000)) as peer:
        with crowd(lab, peer) as held:
            before_s, began = _cpu_s(peer), time.monotonic()
            held.grow(users(streams))
            _note(results, peer, "opened", streams, time.monotonic() - began, before_s)
            results.add(US, f"MB {processes}", peer.rss_bytes() / 1048576)
            held.settle(streams)
            options = ("--count", events, "--orders", streams, "--batch", min(_BATCH, streams))
            begin = partial(peer.orders.writer, lab.folder, lab.other_core, *options)
            missed = _deliver(peer, held, begin, events, "random", results)
        with crowd(lab, peer) as held:
            held.grow(["device0"] * devices)
            options = ("--count", facts, "--orders", 20, "--batch", 5, "--first", _FIRST)
            begin = partial(peer.orders.writer, lab.folder, lab.other_core, *options)
            return missed + _deliver(peer, held, begin, facts * devices, "devices", results)


def _deliver(peer: Ours, held: Crowd, begin: Callable[[], Child], expected: int, what: str, results: Results) -> int:
    """Events that were missed or came twice. The clock runs from the first one on."""
    before_s, writer = _cpu_s(peer), begin()
    held.fleet.turn_until(lambda: held.tally.events > 0, 30.0)
    began = time.monotonic()
    missing = held.receive(expected, writer)
    _note(results, peer, what, expected, time.monotonic() - began, before_s)
    return abs(missing) + held.faults()


def _note(results: Results, peer: Ours, what: str, count: int, took_s: float, before_s: list[float]) -> None:
    busiest_s = max(now - then for now, then in zip(_cpu_s(peer), before_s, strict=True))
    results.add(US, f"{what} per s {peer.processes}", count / took_s)
    results.add(US, f"{what} per core {peer.processes}", count / busiest_s)


def _cpu_s(peer: Ours) -> list[float]:
    """Of each process so far."""
    return [proc.cpu_s([pid]) for child in peer.server for pid in child.pids]
