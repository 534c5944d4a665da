"""What an open stream costs while nothing happens: memory, and the CPU of its heartbeats."""

from functools import partial

from scripts.benchmark import goals, proc
from scripts.benchmark.crowd import crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.choice import SERVERS, installed
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.results import Results, Section, Table, spread, times
from scripts.fleet.charts import line_chart

# Opened and measured as well, so that what a process sets up for its first streams is nobody's cost.
_FIRST = 50
# All heartbeats come once in it.
_HEARTBEATS_S = 16.0
_SETTLE_S = 1.0
US, NCHAN = "orderstream", "nginx + Nchan"


def run(lab: Lab) -> Section:
    results, sizes = Results(), [lab.few(size, size // 10) for size in (1000, 5000, 15_000)]
    peers = installed(SERVERS)
    for number in results.rounds(lab.long_rounds):
        for peer_class in peers:
            lab.say(f"  round {number}, {peer_class.name}: {', '.join(map(str, sizes))} idle streams")
            lab.attempt(peer_class.name, partial(_measure, lab, peer_class, sizes, results))
    names = [peer.name for peer in peers]
    largest = sizes[-1]
    memory = f"KB at {largest}"
    rows = [
        [
            name,
            *(spread(results.of(name, f"KB at {size}")) for size in sizes),
            times(results.ratios(US, name, memory)),
            spread(results.of(name, "kernel KB")),
            spread(results.of(name, "µs")),
            times(results.ratios(US, name, "µs")),
            spread(results.of(name, "opening ms")),
        ]
        for name in names
    ]
    lines = {
        name: [(size, results.median(name, what)) for size in sizes if results.has(name, what := f"KB at {size}")]
        for name in names
    }
    return Section(
        "a. Idle streams",
        f"As many streams as users, opened and left alone. Memory is the server's resident set above what it had with "
        f"{_FIRST} streams, divided by the streams above these; the kernel's is its objects and socket buffers, both "
        f"ends of a connection. CPU is all that the server used in {_HEARTBEATS_S:.0f} s, in which each stream gets a "
        "heartbeat (every 15 s by all of them), divided by streams and seconds.",
        [
            Table(
                "A stream's memory and CPU",
                [
                    "",
                    *(f"KB RSS, {size:,} streams" for size in sizes),
                    "ours to its",
                    "kernel KB",
                    "heartbeats, µs CPU per stream and second",
                    "ours to its",
                    "ms CPU to open one",
                ],
                rows,
            )
        ],
        {
            goals.MEMORY: results.of(US, memory),
            goals.MEMORY_TO_NCHAN: results.ratios(US, NCHAN, memory),
            goals.HEARTBEATS: results.of(US, "µs"),
        },
        {"idle": line_chart("Memory of an idle stream", "open streams", "KB RSS per stream", lines)},
    )


def _measure(lab: Lab, peer_class: type[Peer], sizes: list[int], results: Results) -> int:
    name = peer_class.name
    if peer_class.kind is not None:
        lab.orders(peer_class.kind).fill(sizes[-1])
    with running(peer_class(lab)) as peer, crowd(lab, peer) as streams:
        everybody = users(sizes[-1])
        streams.grow(everybody[:_FIRST])
        streams.fleet.turn_for(_SETTLE_S)
        base_bytes, kernel_bytes, base_cpu_s = peer.rss_bytes(), proc.kernel_bytes(), peer.cpu_s()
        for size in sizes:
            streams.grow(everybody[len(streams.streams) : size])
            opened_cpu_s = peer.cpu_s()
            streams.fleet.turn_for(_SETTLE_S)
            added = size - _FIRST
            results.add(name, f"KB at {size}", (peer.rss_bytes() - base_bytes) / 1024 / added)
        results.add(name, "opening ms", (opened_cpu_s - base_cpu_s) * 1000 / added)
        results.add(name, "kernel KB", (proc.kernel_bytes() - kernel_bytes) / 1024 / added)
        window_s = float(lab.few(int(_HEARTBEATS_S), 4))
        before_s = peer.cpu_s()
        streams.fleet.turn_for(window_s)
        results.add(name, "µs", (peer.cpu_s() - before_s) * 1e6 / sizes[-1] / window_s)
        return 0
