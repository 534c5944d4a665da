"""Compares what clients received with what was committed; pure, and gives every violation as a line.

Committed is what an audit beside the orders says: a bag of facts per user (the audit knows no order across
transactions) and the orders as they ended. Received is what one client saw, in its order, over all its connections.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Fact(NamedTuple):
    """What happened; `version` is the order's, 0 where the event has none."""

    name: str  # order | execution | order-removed
    subject_id: str
    version: int = 0


class Arrived(NamedTuple):
    """An event, numbered."""

    seq: int
    fact: Fact


class Snapshot(NamedTuple):
    """A whole snapshot that contains everything up to `seq`: order_id -> version. Lawful only at the start."""

    seq: int
    orders: Mapping[str, int]


class Received(NamedTuple):
    """One client: `started_at` is the seq it came with, None where it asked for a snapshot."""

    client: str
    user: str
    started_at: int | None
    items: list[Arrived | Snapshot]


class Committed(NamedTuple):
    """user -> facts, user -> order_id -> version at the end."""

    facts: Mapping[str, Counter[Fact]]
    orders: Mapping[str, Mapping[str, int]]


def violations(committed: Committed, received: Iterable[Received]) -> list[str]:
    """What went wrong; nothing where the promise was kept."""
    by_user: dict[str, list[Received]] = {}
    for history in received:
        by_user.setdefault(history.user, []).append(history)
    return [
        f"{user}: {line}"
        for user, histories in by_user.items()
        for line in _of_user(committed.facts.get(user, Counter()), committed.orders.get(user, {}), histories)
    ]


def _of_user(facts: Counter[Fact], orders: Mapping[str, int], histories: list[Received]) -> Iterator[str]:
    told: dict[int, Fact] = {}
    for history in histories:
        yield from (f"{history.client}: {line}" for line in _of_client(orders, facts.total(), history))
        for item in history.items:
            if isinstance(item, Arrived) and told.setdefault(item.seq, item.fact) != item.fact:
                yield f"{history.client}: {item.seq} is {item.fact}, and {told[item.seq]} for another client"
    yield from _foreign(facts, told)
    if any(history.started_at == 0 for history in histories):
        yield from _against_audit(facts, told)
    yield from _versions(told)


def _of_client(orders: Mapping[str, int], head: int, history: Received) -> Iterator[str]:
    """Numbers without holes, each once, up to the head; and the orders that they add up to."""
    position, held = history.started_at, dict[str, int]()
    for item in history.items:
        if isinstance(item, Snapshot):
            if position is not None:
                yield f"a snapshot at {item.seq} that was not asked for, after {position}"
            position, held = item.seq, dict(item.orders)
        elif position is None or item.seq != position + 1:
            yield f"{item.seq} came after {position}"
            position = item.seq
        else:
            position = item.seq
            _apply(held, item.fact)
    if position != head:
        yield f"ended at {position}, and {head} changes were committed"
    # Whoever came with a cursor in the middle cannot know the orders that did not change since.
    known = orders.items() if history.started_at in (None, 0) else held.items() & orders.items()
    if dict(known) != held:
        yield f"ended with other orders: {sorted(dict(known).items() ^ held.items())[:6]}"


def _apply(held: dict[str, int], fact: Fact) -> None:
    """A snapshot may be newer than its cursor, so an older version changes nothing."""
    if fact.name == "order-removed":
        held.pop(fact.subject_id, None)
    elif fact.name == "order":
        held[fact.subject_id] = max(fact.version, held.get(fact.subject_id, 0))


def _foreign(facts: Counter[Fact], told: Mapping[int, Fact]) -> Iterator[str]:
    for seq, fact in told.items():
        if fact not in facts:
            yield f"{seq} is {fact}, which was not committed for this user"


def _against_audit(facts: Counter[Fact], told: Mapping[int, Fact]) -> Iterator[str]:
    received = Counter(told.values())
    for fact, times in (facts - received).items():
        yield f"{fact} was committed {times} times more than it came"
    for fact, times in (received - facts).items():
        yield f"{fact} came {times} times more than it was committed"


def _versions(told: Mapping[int, Fact]) -> Iterator[str]:
    newest: dict[str, int] = {}
    for seq, fact in sorted(told.items()):
        if fact.name == "order":
            if fact.version <= newest.get(fact.subject_id, 0):
                yield f"{seq} is version {fact.version} of {fact.subject_id} after {newest[fact.subject_id]}"
            newest[fact.subject_id] = fact.version
