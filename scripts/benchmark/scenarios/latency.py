"""How old a change is at its client, while thousands of streams are open and more or less is written."""

from functools import partial

from scripts.benchmark.child import Child
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.choice import SERVERS, installed
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.results import Results, Section, Table, at_most, known, spread, times
from scripts.fleet.charts import line_chart
from scripts.fleet.tally import QUANTILES, Ages

US, TLS, FLOOR = "orderstream", "orderstream behind TLS", "bare LISTEN"
# What is written: in words -> transactions a second (0: as many as Postgres takes) and for how long, in seconds.
RATES = {"1 a second": (1, 6), "100 a second": (100, 5), "1,000 a second": (1000, 3), "as many as go": (0, 3)}
# So few that they say little, and take their time: of ours and of the floor.
_FEW = "1 a second"
_SHOWN = ("p50", "p99", "p99.9", "max")
_USUAL = "100 a second"
_WRITERS = 4


class BehindTls(Ours):
    """What clients meet where a load balancer ends TLS."""

    name = TLS

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, tls=True)


def run(lab: Lab) -> Section:
    results, curves = Results(), dict[str, Ages]()
    streams = lab.few(10_000, 500)
    peers: list[type[Peer]] = [*installed(SERVERS), BehindTls]
    missed = 0
    for number in range(lab.few(max(1, lab.rounds - 1), 1)):
        lab.say(f"  round {number + 1}, {FLOOR}")
        _floor(lab, results)
        for peer_class in peers:
            lab.say(f"  round {number + 1}, {peer_class.name}: {streams} streams")
            missed += lab.attempt(peer_class.name, partial(_measure, lab, peer_class, streams, results, curves))
    names = [*(peer.name for peer in peers), FLOOR]
    shown = {
        name: [(age_s * 1000, share * 100) for age_s, share in ages.curve() if share < 0.9999]
        for name, ages in curves.items()
    }
    return Section(
        "c. Commit to client",
        f"Single orders, drawn at random, are updated while {streams:,} streams are open, each of another user. The "
        "age "
        "runs from the trigger's `written_at`, just before the commit and so with its flush to disk, to the moment at "
        "which the client has read the event; both are times of the same clock. `bare LISTEN` is one session that "
        'listens, and the same update with a NOTIFY: a commit and a round trip, and nobody served. "As many as go" are '
        f"{_WRITERS} sessions of pgbench on the clients' core.",
        [_table(results, names, rate) for rate in RATES],
        known(
            at_most(f"written to client, {_USUAL}, {streams:,} streams: p50", 2.0, _ms(results, US, "p50"), "ms"),
            at_most("the same, p99", 10.0, _ms(results, US, "p99"), "ms"),
            at_most("the same behind TLS, p50", 2.0, _ms(results, TLS, "p50"), "ms"),
            at_most("the same behind TLS, p99", 10.0, _ms(results, TLS, "p99"), "ms"),
            at_most("p50, to a bare LISTEN's", 3.0, results.ratios(US, FLOOR, f"{_USUAL} p50"), "×"),
        ),
        {"latency": line_chart(f"Age at the client, {_USUAL}", "ms", "% of events", shown, log_x=True)},
        missed,
    )


def _ms(results: Results, who: str, quantile: str) -> list[float]:
    return results.of(who, f"{_USUAL} {quantile}")


def _table(results: Results, names: list[str], rate: str) -> Table:
    return Table(
        f"Updates: {rate}; ms",
        ["", *_SHOWN, "p50, to a bare LISTEN's", "events a second", "events"],
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
        for rate, (per_s, seconds) in RATES.items():
            if rate == _FEW and not isinstance(peer, Ours):
                continue
            held.fleet.turn_for(0.5)
            held.tally.ages, held.tally.events = Ages(), 0
            missed += _write(lab, peer, held, per_s, lab.few(seconds, 2), streams)
            _note(results, name, rate, held.tally.ages, lab.few(seconds, 2))
            if rate == _USUAL:
                curves.setdefault(name, Ages()).add_all(held.tally.ages)
    return missed


def _write(lab: Lab, peer: Peer, held: Crowd, per_s: int, seconds: int, streams: int) -> int:
    """Writes for so long; how many events of ours were missed."""
    orders = peer.orders
    assert orders is not None
    before = held.faults()
    if per_s:
        expected = per_s * seconds
        writer = orders.writer(lab.folder, lab.other_core, "--count", expected, "--orders", streams, "--per-s", per_s)
        missing = held.receive(expected, writer, seconds + 30.0)
    else:
        writer = orders.pgbench(lab.folder, lab.other_core, clients=_WRITERS, seconds=seconds, orders=streams)
        held.fleet.turn_until(lambda: writer.is_over, seconds + 30.0)
        missing = held.receive(transactions(writer), None)
    if isinstance(peer, Ours):
        return abs(missing) + held.faults() - before
    if missing:
        lab.say(f"  {peer.name}: {missing} events did not come")
    return 0


def transactions(pgbench: Child) -> int:
    """Of a pgbench that has ended."""
    pgbench.finish()
    said = pgbench.log.read_text().partition("number of transactions actually processed: ")[2]
    return int(said.split()[0].partition("/")[0])


def _note(results: Results, name: str, rate: str, ages: Ages, seconds: int) -> None:
    if not ages.count:
        return
    for quantile in _SHOWN:
        results.add(name, f"{rate} {quantile}", ages.quantile(QUANTILES[quantile]) * 1000)
    results.add(name, f"{rate} per s", ages.count / seconds)
    results.add(name, f"{rate} count", ages.count)


def _floor(lab: Lab, results: Results) -> None:
    orders = lab.orders("notify")
    orders.fill(lab.few(15_000, 1500))
    for rate, (per_s, seconds) in RATES.items():
        if not per_s:
            continue
        count = per_s * lab.few(seconds, 2)
        listener = orders.listener(lab.folder, lab.server_core, count)
        writer = orders.writer(lab.folder, lab.other_core, "--count", count, "--orders", 1000, "--per-s", per_s)
        writer.finish()
        listener.finish()
        ages = Ages()
        for line in listener.log.read_text().splitlines()[1:]:
            ages.add(float(line))
        _note(results, FLOOR, rate, ages, lab.few(seconds, 2))
