"""What it costs to deliver an event: to random users of thousands, and to one user with five hundred devices."""

import time
from collections.abc import Callable
from functools import partial

from scripts.benchmark import goals, profile
from scripts.benchmark.child import Child, Trouble
from scripts.benchmark.crowd import Crowd, crowd, running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.bare import EVENT_BYTES, Bare
from scripts.benchmark.peers.choice import ALL, installed
from scripts.benchmark.peers.ours import NumberedElsewhere, Ours
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.results import Results, Section, Table, spread, times

US = "orderstream"
NCHAN, README, BARE = "nginx + Nchan", "aiohttp-sse, its README", Bare.name
# Orders in one transaction, as a batch of fills is.
_BATCH = 100
# A device of a user is a stream, and by default they may have fewer.
_A_DEVICE = {"max_streams_per_user": 1000}


def run(lab: Lab) -> Section:
    streams, events = lab.few(8000, 200), lab.few(40_000, 1000)
    devices, facts = lab.few(500, 50), lab.few(200, 20)
    sizes = (streams, events, devices, facts)
    results, missed = Results(), 0
    peers = [*installed(ALL), NumberedElsewhere]
    for round_number in results.rounds(lab.rounds):
        for peer_class in peers:
            lab.say(f"  round {round_number}, {peer_class.name}: {events} events, {devices} devices")
            if peer_class.kind is not None:
                lab.orders(peer_class.kind).fill(lab.few(15_000, 1500))
            missed += lab.attempt(peer_class.name, partial(_measure, lab, peer_class, sizes, results))
    names = [peer.name for peer in peers]
    tables = [
        _table(
            results, names, "random", f"{events:,} events, each to one of {streams:,} users, {_BATCH} a transaction"
        ),
        _table(results, names, "devices", f"{facts} events to a user with {devices} devices, 5 a transaction"),
    ]
    notes = []
    if lab.profile:
        if (why := profile.missing()) is None:
            lab.say("  a profile of ours")
            missed += lab.attempt(US, partial(_profile, lab, streams, 3 * events, tables))
        else:
            notes.append(f"**No profile**: {why}.")
    reached = {
        goal: results.ratios(US, other, f"{what} per core")
        for what, fanout_goals in goals.FANOUT.items()
        for goal, other in zip(fanout_goals, (NCHAN, README, BARE), strict=True)
    }
    return Section(
        "b. Fan-out",
        "Orders are updated in Postgres as fast as it takes them, and every client's event is waited for. Events per "
        "core and second are deliveries divided by the CPU time that the server used from before the first write to "
        f"the last delivery. **The goals' row is {US}**: one process that reads the changes from Postgres, numbers "
        "them, writes them back and delivers them, all of it counted. Counted are for aiohttp-sse and "
        "sse-starlette the reading (LISTEN) and the delivery; for Nchan and Pushpin the taking of what is published "
        "and the delivery, while the bridge that reads from Postgres and publishes is shown beside it, and in the last "
        f"rows counted; for the bare loop writing alone, of {EVENT_BYTES} bytes that it has in memory. "
        f'"{NumberedElsewhere.name}" is what any further process costs: it reads numbered events and delivers them.',
        tables,
        reached,
        missed=missed,
        notes=notes,
    )


def _table(results: Results, names: list[str], what: str, title: str) -> Table:
    per_core = f"{what} per core"
    return Table(
        title,
        [
            "",
            "events per core and second",
            "ours to its",
            "µs CPU per event",
            "µs CPU of the bridge",
            "bytes per event",
            "events per second, all together",
        ],
        [
            [
                name,
                spread(results.of(name, per_core)),
                times(results.ratios(US, name, per_core)),
                spread(results.of(name, f"{what} µs")),
                spread(results.of(name, f"{what} bridge µs")),
                spread(results.of(name, f"{what} bytes")),
                spread(results.of(name, f"{what} per s")),
            ]
            for name in (*names, *map(_with_bridge, names))
            if results.has(name, per_core)
        ],
    )


def _with_bridge(name: str) -> str:
    return f"{name}, its bridge counted"


def _measure(lab: Lab, peer_class: type[Peer], sizes: tuple[int, int, int, int], results: Results) -> int:
    streams, events, devices, facts = sizes
    with running(peer_class(lab, **_A_DEVICE) if issubclass(peer_class, Ours) else peer_class(lab)) as peer:
        # First the few streams: that they leave costs nothing that could be taken for a part of what follows.
        with crowd(lab, peer) as held:
            held.grow(["device0"] * devices)
            missed = _deliver(held, peer, partial(_to_one_user, lab, peer, facts), facts * devices, "devices", results)
        with crowd(lab, peer) as held:
            held.grow(users(streams))
            if peer.orders is not None:
                held.settle(streams)
            begin = partial(_to_random_users, lab, peer, streams, events)
            return missed + _deliver(held, peer, begin, events, "random", results)


def _profile(lab: Lab, streams: int, events: int, tables: list[Table]) -> int:
    """Adds a table; how many events were missed."""
    results = Results()
    with running(Ours(lab)) as peer, crowd(lab, peer) as held:
        held.grow(users(streams))
        held.settle(streams)
        with profile.taken_of(peer.server[0], lab.folder, lab.other_core) as taken:
            begin = partial(_to_random_users, lab, peer, streams, events)
            missed = _deliver(held, peer, begin, events, "random", results)
    tables.append(taken.table(f"{US}, random users", "event", results.median(US, "random µs")))
    return missed


def _to_one_user(lab: Lab, peer: Peer, facts: int) -> Child | None:
    """Begins to write; None where the peer writes itself."""
    if isinstance(peer, Bare):
        peer.publish(facts, to_all=True)
        return None
    assert peer.orders is not None
    peer.orders.fill(20, first=_THEIR_FIRST, users=1, prefix="device")
    options = ("--count", facts, "--orders", 20, "--batch", 5, "--first", _THEIR_FIRST)
    return peer.orders.writer(lab.folder, lab.other_core, *options)


def _to_random_users(lab: Lab, peer: Peer, streams: int, events: int) -> Child | None:
    """Begins to write; None where the peer writes itself."""
    if isinstance(peer, Bare):
        peer.publish(events)
        return None
    assert peer.orders is not None
    options = ("--count", events, "--orders", streams, "--batch", _BATCH)
    return peer.orders.writer(lab.folder, lab.other_core, *options)


_THEIR_FIRST = 5_000_000


def _deliver(
    held: Crowd, peer: Peer, begin: Callable[[], Child | None], expected: int, what: str, results: Results
) -> int:
    """Measures from the first write to the last delivery; events of ours that were missed or came twice."""
    held.fleet.turn_for(0.5)
    bytes_before, cpu_s, bridge_s = held.tally.received_bytes, peer.cpu_s(), peer.bridge_cpu_s()
    writer = begin()
    held.fleet.turn_until(lambda: held.tally.events > 0, 30.0)
    began = time.monotonic()
    missing = held.receive(expected, writer)
    took_s = time.monotonic() - began
    used_s = peer.cpu_s() - cpu_s
    came = held.tally.events
    if not came or not used_s:
        raise Trouble(f"{peer.name}: no event came")
    results.add(peer.name, f"{what} per core", came / used_s)
    results.add(peer.name, f"{what} µs", used_s * 1e6 / came)
    results.add(peer.name, f"{what} per s", came / took_s)
    results.add(peer.name, f"{what} bytes", (held.tally.received_bytes - bytes_before) / came)
    if peer.bridge:
        bridge_s = peer.bridge_cpu_s() - bridge_s
        results.add(peer.name, f"{what} bridge µs", bridge_s * 1e6 / came)
        results.add(_with_bridge(peer.name), f"{what} per core", came / (used_s + bridge_s))
    if isinstance(peer, Ours):
        return abs(missing) + held.faults()
    if missing:
        held.say(f"  {peer.name}: {missing} of {expected} events did not come")
    return 0
