"""How old a change is at its client, while thousands of streams are open and more or less is written."""

from functools import partial

from scripts.benchmark import goals
from scripts.benchmark.child import Child
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.orders import tps
from scripts.benchmark.peers.aiohttp_sse import AiohttpSse
from scripts.benchmark.peers.choice import installed
from scripts.benchmark.peers.nchan import Nchan
from scripts.benchmark.peers.ours import BehindTls, Ours
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.results import Results, Section, Table, spread, times
from scripts.fleet.charts import line_chart
from scripts.fleet.tally import QUANTILES, Ages

US, TLS, FLOOR = Ours.name, BehindTls.name, "bare LISTEN"
# What is written: in words -> transactions a second (0: as many as Postgres takes) and for how long, in seconds.
RATES = {"1 a second": (1, 10), "100 a second": (100, 10), "1,000 a second": (1000, 3), "as many as go": (0, 3)}
_PEERS: tuple[type[Peer], ...] = (Ours, Nchan, AiohttpSse, BehindTls)
# So few that they take their time: of ours and of the floor.
_FEW = "1 a second"
_SHOWN = ("p50", "p99", "p99.9", "max")
_USUAL = "100 a second"
_WRITERS = 4


def run(lab: Lab) -> Section:
    results, curves = Results(), dict[str, Ages]()
    streams = lab.few(10_000, 500)
    peers = installed(_PEERS)
    missed = 0
    for number in results.rounds(lab.long_rounds):
        lab.say(f"  round {number}, {FLOOR}")
        _floor(lab, results, streams)
        for peer_class in peers:
            lab.say(f"  round {number}, {peer_class.name}: {streams} streams")
            missed += lab.attempt(peer_class.name, partial(_measure, lab, peer_class, streams, results, curves))
    names = [*(peer.name for peer in peers), FLOOR]
    shown = {
        name: [(age_s * 1000, share * 100) for age_s, share in ages.curve() if share < 0.9999]
        for name, ages in curves.items()
    }
    return Section(
        "c. Commit to client",
        f"Single orders, drawn at random, are updated while {streams:,} streams are open, each of another user. The "
        "age runs from the trigger's `written_at`, just before the commit and so with its flush to disk, to the moment "
        "at which the client has read the event; both are times of the same clock. `bare LISTEN` is one session that "
        "listens, and the same update with a NOTIFY: a commit and a round trip, and nobody served. The writer is one "
        f'session, or, for "as many as go", {_WRITERS} of pgbench; it, Postgres and the clients share a core, so what '
        "it takes there comes late to the clients. A quantile is shown where at least one event is beyond it.",
        [_table(results, names, rate) for rate in RATES],
        {
            goals.P50: _ms(results, US, "p50"),
            goals.P99: _ms(results, US, "p99"),
            goals.P50_TO_FLOOR: results.ratios(US, FLOOR, f"{_USUAL} p50"),
            goals.TLS_P50: _ms(results, TLS, "p50"),
            goals.TLS_P99: _ms(results, TLS, "p99"),
        },
        {"latency": line_chart(f"Age at the client, {_USUAL}", "ms", "% of events", shown, log_x=True)},
        missed,
    )


def _ms(results: Results, who: str, quantile: str) -> list[float]:
    return results.of(who, f"{_USUAL} {quantile}")


def _table(results: Results, names: list[str], rate: str) -> Table:
    return Table(
        f"Updates: {rate}; ms",
        ["", *_SHOWN, "p50, to a bare LISTEN's", "updates a second", "events"],
        [
            [
                name,
                *(spread(results.of(name, f"{rate} {quantile}")) for quantile in _SHOWN),
                times(results.ratios(name, FLOOR, f"{rate} p50")),
                spread(results.of(name, f"{rate} per s")),
                f"{sum(results.of(name, f'{rate} count')):,.0f}",
            ]
            for name in names
            if results.has(name, f"{rate} p50")
        ],
    )


def _measure(lab: Lab, peer_class: type[Peer], streams: int, results: Results, curves: dict[str, Ages]) -> int:
    name, missed = peer_class.name, 0
    assert peer_class.kind is not None
    lab.orders(peer_class.kind).fill(lab.few(15_000, 1500))
    with running(peer_class(lab)) as peer, crowd(lab, peer) as held:
        held.grow(users(streams))
        held.settle(streams)
        for rate, (per_s, seconds) in RATES.items():
            if rate == _FEW and name != US:
                continue
            held.fleet.turn_for(0.5)
            held.tally.ages, held.tally.events = Ages(), 0
            lost, written_per_s = _write(lab, peer, held, per_s, lab.few(seconds, 2), streams)
            missed += lost
            _note(results, name, rate, held.tally.ages, written_per_s)
            if rate == _USUAL:
                curves.setdefault(name, Ages()).add_all(held.tally.ages)
    return missed


def _write(lab: Lab, peer: Peer, held: Crowd, per_s: int, seconds: int, streams: int) -> tuple[int, float]:
    """Writes for so long; how many events of ours were missed, and how many updates a second there were."""
    orders = peer.orders
    assert orders is not None
    before = held.faults()
    if per_s:
        writer = orders.writer(lab.folder, lab.other_core, *_at_rate(per_s, seconds, streams))
        missing = held.receive(per_s * seconds, writer, seconds + 30.0)
        written_per_s = _rate(writer, per_s * seconds)
    else:
        writer = orders.pgbench(lab.folder, lab.other_core, clients=_WRITERS, seconds=seconds, orders=streams)
        held.fleet.turn_until(lambda: writer.is_over, seconds + 30.0)
        missing = held.receive(transactions(writer), None)
        written_per_s = tps(writer)
    if isinstance(peer, Ours):
        return abs(missing) + held.faults() - before, written_per_s
    if missing:
        lab.say(f"  {peer.name}: {missing} events did not come")
    return 0, written_per_s


def _at_rate(per_s: int, seconds: int, orders: int) -> tuple[object, ...]:
    return "--count", per_s * seconds, "--orders", orders, "--per-s", per_s


def _rate(writer: Child, updates: int) -> float:
    """Updates a second, of a writer that has ended; the first one was at the beginning."""
    return (updates - 1) / float(writer.log.read_text())


def transactions(pgbench: Child) -> int:
    """Of a pgbench that has ended."""
    pgbench.finish()
    said = pgbench.log.read_text().partition("number of transactions actually processed: ")[2]
    return int(said.split()[0].partition("/")[0])


def _note(results: Results, name: str, rate: str, ages: Ages, written_per_s: float) -> None:
    for quantile in _SHOWN:
        share = QUANTILES[quantile]
        if ages.count and (share == 1.0 or ages.count * (1 - share) > 0.999):
            results.add(name, f"{rate} {quantile}", ages.quantile(share) * 1000)
    results.add(name, f"{rate} per s", written_per_s)
    results.add(name, f"{rate} count", ages.count)


def _floor(lab: Lab, results: Results, orders_count: int) -> None:
    orders = lab.orders("notify")
    orders.fill(lab.few(15_000, 1500))
    for rate, (per_s, full_s) in RATES.items():
        if not per_s:
            continue
        seconds = lab.few(full_s, 2)
        listener = orders.listener(lab.folder, lab.server_core, per_s * seconds)
        writer = orders.writer(lab.folder, lab.other_core, *_at_rate(per_s, seconds, orders_count))
        writer.finish()
        listener.finish()
        ages = Ages()
        for line in listener.log.read_text().splitlines()[1:]:
            ages.add(float(line))
        _note(results, FLOOR, rate, ages, _rate(writer, per_s * seconds))
