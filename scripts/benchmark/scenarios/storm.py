"""All clients lose their connection at once, orders change meanwhile, and all come back."""

import time
from functools import partial

from scripts.benchmark import goals
from scripts.benchmark.child import Trouble
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.aiohttp_sse import AiohttpSse
from scripts.benchmark.peers.choice import installed
from scripts.benchmark.peers.nchan import Nchan
from scripts.benchmark.peers.ours import BehindTls, Ours, StartedAnew
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.results import Results, Section, Table, spread

US = "orderstream"
# Handshakes under way: below the queue of the listening socket, which would drop what is above it.
_AT_ONCE = 1000
_BACK_S = 60.0


def run(lab: Lab) -> Section:
    streams, events = lab.few(10_000, 500), lab.few(5000, 250)
    results, missed = Results(), 0
    peers: list[type[Peer]] = installed((Ours, StartedAnew, BehindTls, Nchan, AiohttpSse))
    for number in results.rounds(lab.long_rounds):
        for peer_class in peers:
            lab.say(f"  round {number}, {peer_class.name}: {streams} streams come back")
            missed += lab.attempt(peer_class.name, partial(_measure, lab, peer_class, streams, events, results))
    return Section(
        "e. Reconnect storm",
        f"{streams:,} streams, each of another user and each with an event behind it, are dropped at once; "
        f"{events:,} events are committed; then all come back, with a JWT and the last event's id, {_AT_ONCE:,} "
        "handshakes at a time. Seconds run from the first of them until the last stream is live; CPU is the server's "
        "in that time; queries are those for channels, snapshots and replays (`orderstream_loads_total`): users whose "
        "clients were here a moment ago are served from memory. "
        f'"{StartedAnew.name}" is the same, but the service is killed before the events are committed, and started '
        "before the clients come: it knows nobody. All servers are given a queue of connections that is long enough.",
        [
            Table(
                f"{streams:,} reconnects",
                [
                    "",
                    "seconds until all are back",
                    "ms CPU per reconnect",
                    "of nginx in front",
                    "queries",
                    "errors",
                    f"events missed, of {events:,}",
                ],
                [
                    [
                        peer.name,
                        spread(results.of(peer.name, "s")),
                        spread(results.of(peer.name, "cpu ms")),
                        spread(results.of(peer.name, "nginx ms")),
                        spread(results.of(peer.name, "queries")),
                        spread(results.of(peer.name, "errors")),
                        spread(results.of(peer.name, "missed")),
                    ]
                    for peer in peers
                ],
            )
        ],
        {
            goals.STORM_S: results.of(US, "s"),
            goals.STORM_QUERIES: results.of(US, "queries"),
            goals.STORM_MISSED: results.of(US, "missed"),
            goals.RESTART_S: results.of(StartedAnew.name, "s"),
            goals.RESTART_QUERIES: results.of(StartedAnew.name, "queries"),
        },
        missed=missed,
    )


def _measure(lab: Lab, peer_class: type[Peer], streams: int, events: int, results: Results) -> int:
    assert peer_class.kind is not None
    lab.orders(peer_class.kind).fill(lab.few(15_000, 1500))
    with running(peer_class(lab)) as peer, crowd(lab, peer) as held:
        held.grow(users(streams))
        held.settle(streams)
        return _storm(lab, peer, held, events, results)


def _storm(lab: Lab, peer: Peer, held: Crowd, events: int, results: Results) -> int:
    name, streams, faults = peer.name, len(held.streams), held.faults()
    held.fleet.close_all()
    held.tally.events = 0
    if isinstance(peer, StartedAnew):
        peer.stop()
    options = ("--count", events, "--orders", streams, "--batch", min(50, events))
    peer.orders.writer(lab.folder, lab.other_core, *options).finish()  # type: ignore[union-attr]
    if isinstance(peer, StartedAnew):
        peer.start()
    queries, errors = _queries(peer), held.tally.errors
    cpu_s, nginx_s = peer.cpu_s(), peer.bridge_cpu_s()
    for stream in held.streams:
        stream.returns, stream.retry_s = True, 0.1
    held.fleet.at_once = _AT_ONCE
    began = time.monotonic()
    held.fleet.add(held.streams)
    held.fleet.turn_until(lambda: held.is_live, _BACK_S)
    took_s = time.monotonic() - began
    if not held.is_live:
        raise Trouble(f"{name}: {held.live} of {streams} streams came back within {_BACK_S:.0f} s")
    cpu_s, nginx_s = peer.cpu_s() - cpu_s, peer.bridge_cpu_s() - nginx_s
    missing = held.receive(events, None, 5.0)
    results.add(name, "s", took_s)
    results.add(name, "cpu ms", cpu_s * 1000 / streams)
    results.add(name, "errors", held.tally.errors - errors)
    results.add(name, "missed", missing)
    if isinstance(peer, Ours):
        results.add(name, "queries", _queries(peer) - queries)
        if peer.tls:
            results.add(name, "nginx ms", nginx_s * 1000 / streams)
        return abs(missing) + held.faults() - faults
    return 0


def _queries(peer: Peer) -> float:
    return peer.metric("orderstream_loads_total") if isinstance(peer, Ours) else 0.0
