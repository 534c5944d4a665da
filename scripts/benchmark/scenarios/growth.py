"""Whether a stream and an event cost the same among many as among few."""

from functools import partial
from statistics import linear_regression

from scripts.benchmark import goals
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.bare import Bare
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.results import Results, Section, Table, spread
from scripts.benchmark.results import number as said
from scripts.fleet.charts import line_chart
from scripts.fleet.tally import Ages

US = "orderstream"
_SHARED = "shared"
_FIRST = 50
_BATCH = 100
# Streams of one user, below max_streams_per_user.
_DEVICES = 15
# So often, so that what heartbeats cost stands out from what the process does anyway.
_HEARTBEAT_S = 1
_WINDOW_S = 6
# Figure -> its name in the picture, its unit in the table.
_FIGURES = {
    "memory": ("memory per stream", "KB RSS per stream"),
    "heartbeats": ("CPU per heartbeat", "µs CPU per heartbeat of a stream"),
    "event": ("CPU per event", "µs CPU per event"),
    "p50": ("age, p50", "p50, ms, 100 updates a second"),
    "p99": ("age, p99", "p99, ms"),
}


def run(lab: Lab) -> Section:
    sizes = [lab.few(size, size // 10) for size in (1000, 5000, 15_000)]
    results, missed = Results(), 0
    lab.orders("ours").fill(sizes[-1])
    for number in results.rounds(lab.long_rounds):
        lab.say(f"  round {number}: heartbeats of {', '.join(map(str, sizes))} streams")
        lab.attempt(US, partial(_heartbeats, lab, sizes, results))
        for size in sizes:
            lab.say(f"  round {number}: {size} streams")
            missed += lab.attempt(US, partial(_measure, lab, size, results))
            lab.attempt(Bare.name, partial(_bare, lab, size, results))
        lab.say(f"  round {number}: {sizes[-1]} streams, {_DEVICES} of each user")
        missed += lab.attempt(US, partial(_of_few_users, lab, sizes[-1], results))
    least, most = sizes[0], sizes[-1]
    lines = {
        name: [
            (size, results.median(US, f"{figure} {size}") / results.median(US, f"{figure} {least}"))
            for size in sizes
            if results.has(US, f"{figure} {size}") and results.has(US, f"{figure} {least}")
        ]
        for figure, (name, _) in _FIGURES.items()
    }
    return Section(
        "g. Growth",
        "What a stream and an event cost, against how many streams there are, each of another user; measured as in a "
        "to c, each size in a process of its own, memory before the first event. Heartbeats are measured apart: every "
        f"{_HEARTBEAT_S} s, and without what the process used with {_FIRST} streams, which at {least:,} would be most "
        f"of it. The picture shows all of it in units of what it is at {least:,} streams.",
        [
            Table(
                "orderstream",
                [
                    "",
                    *(f"{size:,} streams" for size in sizes),
                    "slope, for 10,000 streams more",
                    f"{most:,} of {most // _DEVICES:,} users",
                ],
                _rows(results, sizes),
                "The slope is that of the line through all sizes (least squares), in the row's unit. The bare loop "
                "keeps nothing but its connections, and draws one at random for each event, as the updates do: it "
                "grows by what the processor's caches do not hold of many sockets.",
            )
        ],
        {
            goal: results.ratios(US, US, f"{figure} {most}", f"{figure} {least}")
            for figure, goal in goals.GROWTH.items()
        },
        {"growth": line_chart("Cost against the number of streams", "open streams", f"× that of {least:,}", lines)},
        missed,
    )


def _rows(results: Results, sizes: list[int]) -> list[list[str]]:
    figures = [(US, figure, unit) for figure, (_, unit) in _FIGURES.items()]
    return [
        [
            unit,
            *(spread(results.of(who, f"{figure} {size}")) for size in sizes),
            _slope(results, who, figure, sizes),
            spread(results.of(who, f"{figure} {_SHARED}")),
        ]
        for who, figure, unit in [*figures, (Bare.name, "event", f"µs CPU per event, {Bare.name}")]
    ]


def _slope(results: Results, who: str, figure: str, sizes: list[int]) -> str:
    points = [(size, results.median(who, what)) for size in sizes if results.has(who, what := f"{figure} {size}")]
    if len(points) < 2:
        return "–"
    slope = linear_regression(*zip(*points, strict=True)).slope * 10_000
    return f"{'+' if slope > 0 else '−'}{said(abs(slope))}"


def _heartbeats(lab: Lab, sizes: list[int], results: Results) -> int:
    """In one process, whose streams become more; no event is missed, since there is none."""
    everybody, window_s = users(sizes[-1]), float(lab.few(_WINDOW_S, 2))
    with running(Ours(lab, heartbeat_s=_HEARTBEAT_S)) as peer, crowd(lab, peer) as held:

        def cpu_per_s(size: int) -> float:
            held.grow(everybody[len(held.streams) : size])
            held.fleet.turn_for(1.0)
            before_s = peer.cpu_s()
            held.fleet.turn_for(window_s)
            return (peer.cpu_s() - before_s) / window_s

        base = cpu_per_s(_FIRST)
        for size in sizes:
            beats_per_s = (size - _FIRST) / _HEARTBEAT_S
            results.add(US, f"heartbeats {size}", (cpu_per_s(size) - base) * 1e6 / beats_per_s)
    return 0


def _measure(lab: Lab, size: int, results: Results) -> int:
    everybody = users(size)
    with running(Ours(lab)) as peer, crowd(lab, peer) as held:
        held.grow(everybody[:_FIRST])
        held.fleet.turn_for(1.0)
        base_bytes = peer.rss_bytes()
        held.grow(everybody[_FIRST:])
        held.fleet.turn_for(1.0)
        results.add(US, f"memory {size}", (peer.rss_bytes() - base_bytes) / 1024 / (size - _FIRST))
        held.settle(size)
        missing = abs(_events(lab, peer, held, size, results)) + abs(_latency(lab, peer, held, size, results))
        return missing + held.faults()


def _bare(lab: Lab, size: int, results: Results) -> int:
    """Nobody counts what it misses."""
    with running(Bare(lab)) as peer, crowd(lab, peer) as held:
        held.grow(users(size))
        held.fleet.turn_for(1.0)
        events, before_s = lab.few(10_000, 1000), peer.cpu_s()
        peer.publish(events)
        held.receive(events, None)
        results.add(Bare.name, f"event {size}", (peer.cpu_s() - before_s) * 1e6 / events)
    return 0


def _of_few_users(lab: Lab, size: int, results: Results) -> int:
    """The largest size again, several streams to a user: each event is delivered to all of them."""
    several, events = size // _DEVICES, lab.few(1000, 200)
    with running(Ours(lab)) as peer, crowd(lab, peer) as held:
        held.grow(users(_FIRST))
        held.fleet.turn_for(1.0)
        base_bytes, before = peer.rss_bytes(), len(held.streams)
        everybody = users(several, first=_FIRST) * _DEVICES
        held.grow(everybody)
        held.fleet.turn_for(1.0)
        results.add(US, f"memory {_SHARED}", (peer.rss_bytes() - base_bytes) / 1024 / (len(held.streams) - before))
        held.tally.events = 0
        before_s = peer.cpu_s()
        options = ("--count", events, "--first", _FIRST, "--orders", several, "--batch", min(_BATCH, several))
        writer = peer.orders.writer(lab.folder, lab.other_core, *options)
        missing = held.receive(events * _DEVICES, writer)
        results.add(US, f"event {_SHARED}", (peer.cpu_s() - before_s) * 1e6 / (events * _DEVICES))
        return abs(missing) + held.faults()


def _events(lab: Lab, peer: Ours, held: Crowd, size: int, results: Results) -> int:
    events = lab.few(10_000, 1000)
    held.tally.events = 0
    before_s = peer.cpu_s()
    options = ("--count", events, "--orders", size, "--batch", min(_BATCH, size))
    missing = held.receive(events, peer.orders.writer(lab.folder, lab.other_core, *options))
    results.add(US, f"event {size}", (peer.cpu_s() - before_s) * 1e6 / events)
    return missing


def _latency(lab: Lab, peer: Ours, held: Crowd, size: int, results: Results) -> int:
    updates = lab.few(300, 100)
    held.tally.events, held.tally.ages = 0, Ages()
    options = ("--count", updates, "--orders", size, "--per-s", 100)
    missing = held.receive(updates, peer.orders.writer(lab.folder, lab.other_core, *options))
    for name, share in {"p50": 0.5, "p99": 0.99}.items():
        results.add(US, f"{name} {size}", held.tally.ages.quantile(share) * 1000)
    return missing
