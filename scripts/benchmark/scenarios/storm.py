"""All clients lose their connection at once, orders change meanwhile, and all come back."""

import re
import time
from functools import partial
from urllib.request import urlopen

from scripts.benchmark.child import Trouble
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.aiohttp_sse import AiohttpSse
from scripts.benchmark.peers.choice import installed
from scripts.benchmark.peers.nchan import Nchan
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.results import Results, Section, Table, at_most, known, spread
from scripts.benchmark.scenarios.latency import BehindTls

US = "orderstream"
# Handshakes under way: below the queue of the listening socket, which would drop what is above it.
_AT_ONCE = 1000
_BACK_S = 60.0
_LOADS = re.compile(rb"^orderstream_loads_total\{[^}]*\} ([0-9.e+]+)$", re.MULTILINE)


def run(lab: Lab) -> Section:
    streams, events = lab.few(10_000, 500), lab.few(5000, 250)
    results, missed = Results(), 0
    peers: list[type[Peer]] = installed((Ours, BehindTls, Nchan, AiohttpSse))
    for number in range(lab.few(max(1, lab.rounds - 1), 1)):
        for peer_class in peers:
            lab.say(f"  round {number + 1}, {peer_class.name}: {streams} streams come back")
            missed += lab.attempt(peer_class.name, partial(_measure, lab, peer_class, streams, events, results))
    return Section(
        "e. Reconnect storm",
        f"{streams:,} streams, each of another user and each with an event behind it, are dropped at once; "
        f"{events:,} events are committed; then all come back, with a JWT and the last event's id, {_AT_ONCE:,} "
        "handshakes "
        "at a time. Seconds run from the first of them until the last stream is live; queries are those for channels, "
        "snapshots and replays (`orderstream_loads_total`).",
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
        known(
            at_most(f"{streams:,} streams resumed", 5.0, results.of(US, "s"), "s"),
            at_most("queries for it", 60, results.of(US, "queries"), "queries"),
            at_most("events missed in it", 0, results.of(US, "missed"), "events"),
        ),
        missed=missed,
    )


def _measure(lab: Lab, peer_class: type[Peer], streams: int, events: int, results: Results) -> int:
    assert peer_class.kind is not None
    lab.orders(peer_class.kind).fill(lab.few(15_000, 1500))
    with running(peer_class(lab)) as peer, crowd(lab, peer) as held:
        assert peer.orders is not None
        held.grow(users(streams))
        first = peer.orders.writer(
            lab.folder, lab.other_core, "--count", streams, "--orders", streams, "--batch", streams
        )
        if held.receive(streams, first):
            raise Trouble(f"{peer.name}: not every stream got its first event")
        return _storm(lab, peer, held, events, results)


def _storm(lab: Lab, peer: Peer, held: Crowd, events: int, results: Results) -> int:
    name, streams, faults = peer.name, len(held.streams), held.faults()
    held.fleet.close_all()
    held.tally.events = 0
    options = ("--count", events, "--orders", streams, "--batch", min(50, events))
    peer.orders.writer(lab.folder, lab.other_core, *options).finish()  # type: ignore[union-attr]
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
    if not isinstance(peer, Ours):
        return 0.0
    with urlopen(f"http://127.0.0.1:{peer.admin_port}/metrics") as answer:
        return sum(float(value) for value in _LOADS.findall(answer.read()))
