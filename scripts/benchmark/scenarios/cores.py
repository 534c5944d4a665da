"""Whether a process per core delivers as much more."""

import subprocess
import sys
import time

from scripts.benchmark.crowd import crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.results import Results, Section, Table, spread, times

US = "orderstream"
_FIRST = 6_000_000
_TITLE = "h. Footprint"


def run(lab: Lab) -> Section:
    if not _takes_processes():
        return Section(_TITLE, "`orderstream serve` has no option `--processes` yet: it is one process.")
    if len(lab.cores) < 2:
        return Section(_TITLE, "Not measured: this machine has one core.")
    results, missed = Results(), 0
    lab.orders("ours").fill(lab.few(15_000, 1500))
    lab.orders("ours").fill(20, first=_FIRST, users=1, prefix="device")
    with lab.all_cores():
        for number in range(lab.rounds):
            for processes in (1, 2):
                lab.say(f"  round {number + 1}: {processes} processes")
                missed += _measure(lab, processes, results)
    rows = []
    for processes in (1, 2):
        row = [str(processes)]
        for what in ("opened", "delivered"):
            row += [
                spread(results.of(US, f"{what} {processes}")),
                times(results.ratios(US, US, f"{what} {processes}", f"{what} 1")),
            ]
        rows.append([*row, spread(results.of(US, f"MB {processes}"))])
    return Section(
        _TITLE,
        "`orderstream serve --processes N`, one port. Clients and Postgres are on the same two cores, and what they "
        "take is "
        "not there for a second process: twice as much is out of reach here, and the gain is a lower bound.",
        [
            Table(
                "A process, and one for each core",
                [
                    "processes",
                    "streams opened a second",
                    "to one",
                    "events delivered a second",
                    "to one",
                    "MB RSS in all",
                ],
                rows,
            )
        ],
        missed=missed,
    )


def _takes_processes() -> bool:
    command = [sys.executable, "-m", "orderstream.cli", "serve", "--help"]
    return "--processes" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _measure(lab: Lab, processes: int, results: Results) -> int:
    streams, devices, facts = lab.few(4000, 400), lab.few(500, 50), lab.few(300, 50)
    with running(Ours(lab, processes=processes, max_streams_per_user=1000)) as peer:
        with crowd(lab, peer) as held:
            began = time.monotonic()
            held.grow(users(streams))
            results.add(US, f"opened {processes}", streams / (time.monotonic() - began))
            results.add(US, f"MB {processes}", peer.rss_bytes() / 1048576)
        with crowd(lab, peer) as held:
            held.grow(["device0"] * devices)
            options = ("--count", facts, "--orders", 20, "--batch", 5, "--first", _FIRST)
            writer = peer.orders.writer(lab.folder, lab.other_core, *options)
            held.fleet.turn_until(lambda: held.tally.events > 0, 30.0)
            began = time.monotonic()
            missing = held.receive(facts * devices, writer)
            results.add(US, f"delivered {processes}", held.tally.events / (time.monotonic() - began))
            return abs(missing) + held.faults()
