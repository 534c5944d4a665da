"""What a long-poll costs: while it waits, when it is answered, and when it need not wait."""

import time
from functools import partial

from scripts.benchmark import profile
from scripts.benchmark.child import Trouble
from scripts.benchmark.crowd import running, users
from scripts.benchmark.lab import Lab
from scripts.benchmark.peers.choice import installed
from scripts.benchmark.peers.nchan import Nchan
from scripts.benchmark.peers.ours import Ours
from scripts.benchmark.peers.peer import Peer
from scripts.benchmark.results import Results, Section, Table, spread, times
from scripts.fleet.fleet import Fleet, raise_descriptor_limit
from scripts.fleet.tally import Tally

US = "orderstream"
_BATCH = 100
# Longer than the measurement: none ends meanwhile.
_WAIT_S = 55
_FIRST = 50
# Each from an address of its own, and below what a user may ask in a minute.
_CLIENTS, _TIMES = 32, 300
_PER_ADDRESS = 1000


def run(lab: Lab) -> Section:
    waiting, events = lab.few(15_000, 400), lab.few(15_000, 2000)
    results, missed = Results(), 0
    peers = installed((Ours, Nchan))
    for number in results.rounds(lab.long_rounds):
        for peer_class in peers:
            lab.say(f"  round {number}, {peer_class.name}: {waiting} polls wait, {events} are answered")
            missed += lab.attempt(peer_class.name, partial(_measure, lab, peer_class, waiting, events, results))
    tables: list[Table] = []
    if lab.profile and profile.missing() is None:
        lab.say("  a profile of ours")
        missed += lab.attempt(US, partial(_profile, lab, waiting, events, tables))
    names = [peer.name for peer in peers]
    return Section(
        "f. Long-poll",
        f"{waiting:,} users poll, over connections that stay open; memory is counted as for streams. Then {events:,} "
        f"orders change, {_BATCH} in a transaction: each answers one poll, and its client asks again at once. Last, "
        f"{_CLIENTS} clients ask {_TIMES} times each with `wait=0` and what they know already, and are answered 304; "
        "there is nothing like it elsewhere. Nchan's bridge is not counted.",
        [
            Table(
                "Polls",
                [
                    "",
                    "KB RSS per waiting poll",
                    "ours to its",
                    "µs CPU per poll answered with an event",
                    "ours to its",
                    "such polls per second, all together",
                    "polls per core and second answered 304 at once",
                ],
                [
                    [
                        name,
                        spread(results.of(name, "KB")),
                        times(results.ratios(US, name, "KB")),
                        spread(results.of(name, "µs")),
                        times(results.ratios(US, name, "µs")),
                        spread(results.of(name, "per s")),
                        spread(results.of(name, "304 per core")),
                    ]
                    for name in names
                ],
            ),
            *tables,
        ],
        missed=missed,
    )


def _measure(lab: Lab, peer_class: type[Peer], waiting: int, events: int, results: Results) -> int:
    assert peer_class.kind is not None
    lab.orders(peer_class.kind).fill(lab.few(15_000, 1500))
    raise_descriptor_limit(waiting)
    with running(peer_class(lab)) as peer:
        with lab.fleet() as fleet:
            tally = _wait(lab, peer, fleet, waiting, results)
            missed = _answer(lab, peer, fleet, tally, waiting, events, results)
        if isinstance(peer, Ours):
            with lab.fleet() as fleet:
                _answer_at_once(lab, peer, fleet, results)
    return missed


def _profile(lab: Lab, waiting: int, events: int, tables: list[Table]) -> int:
    """Adds a table; how many events were missed."""
    results = Results()
    with running(Ours(lab)) as peer, lab.fleet() as fleet:
        tally = _wait(lab, peer, fleet, waiting, results)
        with profile.taken_of(peer.server[0], lab.folder, lab.other_core) as taken:
            missed = _answer(lab, peer, fleet, tally, waiting, 3 * events, results)
    tables.append(taken.table(f"{US}, answered polls", "answer", results.median(US, "µs")))
    return missed


def _wait(lab: Lab, peer: Peer, fleet: Fleet, waiting: int, results: Results) -> Tally:
    """All of them, and each of their orders has changed once (see `Crowd.settle`)."""
    name, tally = peer.name, Tally("poll")
    # Ours begin with a snapshot, and wait after it.
    at_first = 1 if isinstance(peer, Ours) else 0
    polls = peer.polls(users(waiting), tally, wait_s=_WAIT_S)

    def let_in(first: int, last: int) -> None:
        fleet.add(polls[first:last])
        if not fleet.turn_until(lambda: tally.open >= last and tally.answers >= last * at_first, 60.0):
            raise Trouble(f"{name}: {tally.open} of {last} polls wait; refused: {dict(tally.refused)}")
        fleet.turn_for(1.0)

    let_in(0, _FIRST)
    base_bytes = peer.rss_bytes()
    let_in(_FIRST, waiting)
    results.add(name, "KB", (peer.rss_bytes() - base_bytes) / 1024 / (waiting - _FIRST))
    if missing := _change(lab, peer, fleet, tally, waiting, waiting, batch=waiting):
        raise Trouble(f"{name}: {missing} of {waiting} polls were not answered")
    return tally


def _answer(lab: Lab, peer: Peer, fleet: Fleet, tally: Tally, waiting: int, events: int, results: Results) -> int:
    """How many events were missed."""
    name, before = peer.name, tally.answers
    cpu_s, began = peer.cpu_s(), time.monotonic()
    missing = _change(lab, peer, fleet, tally, events, waiting, batch=_BATCH)
    answered = tally.answers - before
    if not answered or tally.refused:
        raise Trouble(f"{name}: {answered} polls were answered; refused: {dict(tally.refused)}")
    results.add(name, "µs", (peer.cpu_s() - cpu_s) * 1e6 / answered)
    results.add(name, "per s", answered / (time.monotonic() - began))
    if isinstance(peer, Ours):
        return abs(missing) + tally.lost + tally.repeated
    if missing > 0:
        lab.say(f"  {name}: {missing} of {events} events did not come")
    return 0


def _change(lab: Lab, peer: Peer, fleet: Fleet, tally: Tally, changes: int, orders: int, *, batch: int) -> int:
    """Changes orders of those who poll, and waits for the answers; how many events are missing."""
    assert peer.orders is not None
    tally.events = 0
    options = ("--count", changes, "--orders", orders, "--batch", batch)
    writer = peer.orders.writer(lab.folder, lab.other_core, *options)
    fleet.turn_until(lambda: writer.is_over and tally.events >= changes, 60.0)
    writer.finish()
    return changes - tally.events


def _answer_at_once(lab: Lab, peer: Ours, fleet: Fleet, results: Results) -> None:
    tally, rounds = Tally("poll"), lab.few(_TIMES, 50)
    polls = [
        peer.polls([user], tally, first=number * _PER_ADDRESS, wait_s=0)[0]
        for number, user in enumerate(users(_CLIENTS))
    ]
    for poll in polls:
        # And the snapshot.
        poll.rounds = rounds + 1
    cpu_s = peer.cpu_s()
    fleet.add(polls)
    wanted = _CLIENTS * (rounds + 1)
    if not fleet.turn_until(lambda: tally.answers >= wanted, 60.0) or tally.errors:
        raise Trouble(f"{tally.answers} of {wanted} polls were answered; refused: {dict(tally.refused)}")
    results.add(peer.name, "304 per core", tally.answers / (peer.cpu_s() - cpu_s))
