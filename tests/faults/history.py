"""Compares what clients received with what was committed; pure, and gives every violation as a line.

Committed is what an audit beside the orders says, by transaction: what was written, by whom, and which transactions it
saw. Received is all that one client was told, over all its connections, in its order. Neither comes from a table of
the product's.
"""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple


class Fact(NamedTuple):
    """What happened; `version` is the order's, 0 where the event has none, `digest` of what it says of the order."""

    name: str  # order | execution | order-removed
    subject_id: str
    version: int = 0
    digest: str = ""


class Kept(NamedTuple):
    """An order as somebody has it."""

    version: int
    digest: str = ""


class Commit(NamedTuple):
    """A fact and its transaction; it saw all transactions below `xmax` but those in `running`, and its own."""

    fact: Fact
    xid: int = 0
    xmax: int = 0
    running: frozenset[int] = frozenset()
    statement: float = 0.0  # a number that rises with the statements of a transaction

    def saw(self, xid: int) -> bool:
        return xid < self.xmax and xid not in self.running and xid != self.xid


class Opened(NamedTuple):
    """A connection with the cursor that it was asked for with; None: nothing is known, or all was forgotten."""

    transport: str
    cursor: tuple[str, int] | None


class Reset(NamedTuple):
    """The cursor is of no use, said the server; a snapshot must follow."""

    reason: str


class Snapshot(NamedTuple):
    """A whole snapshot, which contains everything up to `seq`."""

    epoch: str
    seq: int
    orders: Mapping[str, Kept]


class Arrived(NamedTuple):
    """A numbered event."""

    epoch: str
    seq: int
    fact: Fact


class Broken(NamedTuple):
    """What no client should ever meet: an answer that breaks the protocol, or a feed that ended for good."""

    line: str


Item = Opened | Reset | Snapshot | Arrived | Broken


class Received(NamedTuple):
    """One client. `merges`: it leaves out events that a snapshot already contained, as the product's own does."""

    client: str
    user: str
    items: list[Item]
    merges: bool = False


class Violation(NamedTuple):
    """What went wrong; `kind` is one of KINDS."""

    kind: str
    line: str


KINDS = ("lost", "duplicated", "misordered", "foreign", "reset", "state", "broken", "late")


class Committed(NamedTuple):
    """user -> what was committed, in the audit's order; user -> order_id -> how it ended; the epochs there were.

    `resets` are the reasons that this run makes lawful; `lost` are epochs whose last transactions a fail-over lost.
    """

    commits: Mapping[str, Sequence[Commit]]
    orders: Mapping[str, Mapping[str, Kept]]
    epochs: Sequence[str]
    resets: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()


Told = dict[tuple[int, int], Fact]  # (number of the epoch, seq) -> what every client was told it is


def violations(committed: Committed, received: Iterable[Received]) -> list[Violation]:
    """What went wrong; nothing where the promise was kept."""
    by_user: dict[str, list[Received]] = defaultdict(list)
    for history in received:
        by_user[history.user].append(history)
    return [
        Violation(kind, f"{user}: {line}")
        for user, histories in by_user.items()
        for kind, line in _of_user(committed, user, histories)
    ]


def _of_user(committed: Committed, user: str, histories: list[Received]) -> Iterator[Violation]:
    told: Told = {}
    commits, numbers = committed.commits.get(user, ()), {epoch: n for n, epoch in enumerate(committed.epochs)}
    followed = [_Followed(history, committed) for history in histories]
    for one in followed:
        yield from _said_by(one, one.run())
        for item in one.history.items:
            if isinstance(item, Arrived):
                key = numbers.get(item.epoch, -1), item.seq
                if told.setdefault(key, item.fact) != item.fact:
                    line = f"{one.history.client}: {item.seq} is {item.fact}, and {told[key]} for another client"
                    yield Violation("misordered", line)
    # A new epoch leaves out what waited for its number then: how far it came, only those who were told can say.
    ends = [one.position[1] for one in followed if one.position and one.position[0] == committed.epochs[-1]]
    head = len(commits) if len(committed.epochs) == 1 else max(ends, default=0)
    for one in followed:
        yield from _said_by(one, one.end(head, committed.orders.get(user, {})))
    lost = frozenset(number for number, epoch in enumerate(committed.epochs) if epoch in committed.lost)
    yield from _against_audit(committed, commits, told, lost, followed)
    yield from _versions(told)
    # What a lost epoch told may be of transactions that nobody knows any more, and look like one that came later.
    yield from _causes(commits, {key: fact for key, fact in told.items() if key[0] not in lost})


def _said_by(one: "_Followed", found: Iterable[Violation]) -> Iterator[Violation]:
    yield from (Violation(kind, f"{one.history.client}: {line}") for kind, line in found)


class _Followed:
    """One client's way through its history."""

    def __init__(self, history: Received, committed: Committed) -> None:
        self.history = history
        self.position: tuple[str, int] | None = None
        self.held: dict[str, Kept] = {}
        self.whole = False  # whether it has all orders, not only those that changed since it came
        self.covering: list[Snapshot] = []  # those that a reset announced
        self._committed = committed
        self._reset: str | None = None

    def run(self) -> Iterator[Violation]:
        """Numbers without holes, each once; snapshots and resets only where they are due."""
        for item in self.history.items:
            match item:
                case Opened():
                    self.position, self._reset = item.cursor, None
                    if item.cursor is None or item.cursor[1] == 0:
                        self.held, self.whole = {}, True
                case Reset():
                    if item.reason not in self._committed.resets:
                        yield Violation("reset", f"a reset that nothing explains: {item.reason}, at {self.position}")
                    self._reset = item.reason
                case Snapshot():
                    yield from self._snapshot(item)
                case Arrived():
                    yield from self._arrived(item)
                case Broken():
                    yield Violation("broken", item.line)

    def end(self, head: int, orders: Mapping[str, Kept]) -> Iterator[Violation]:
        """It knows everything, and the orders that it adds up to are those of the tables."""
        epoch, seq = self.position or ("", None)
        if epoch != self._committed.epochs[-1]:
            yield Violation("reset", f"ended in epoch {epoch}, and {self._committed.epochs[-1]} is in force")
        if seq != head and not self.history.merges:
            yield Violation("lost", f"ended at {seq}, and {head} changes were committed")
        # Whoever came with a cursor in the middle cannot know the orders that did not change since.
        known = orders.items() if self.whole else self.held.items() & orders.items()
        if dict(known) != self.held:
            differ = sorted(dict(known).items() ^ self.held.items())
            yield Violation("state", f"ended with other orders: {differ[:6]}")

    def _snapshot(self, item: Snapshot) -> Iterator[Violation]:
        if self.position is not None and self._reset is None:
            yield Violation("reset", f"a snapshot at {item.seq} that was not asked for, after {self.position[1]}")
        if self._reset is not None:
            self.covering.append(item)
        self.position, self.held, self.whole, self._reset = (item.epoch, item.seq), dict(item.orders), True, None

    def _arrived(self, item: Arrived) -> Iterator[Violation]:
        epoch, seq = self.position or ("", 0)
        follows = item.seq > seq if self.history.merges else item.seq == seq + 1
        if self.position is None or self._reset is not None or epoch != item.epoch or not follows:
            kind = "lost" if item.seq > seq else "duplicated"
            yield Violation(kind, f"{item.epoch}.{item.seq} came after {epoch}.{seq if self.position else None}")
        self.position = item.epoch, item.seq
        fact = item.fact
        # A snapshot may be newer than its cursor, so an older version changes nothing.
        if fact.name == "order-removed":
            self.held.pop(fact.subject_id, None)
        elif fact.name == "order" and fact.version >= self.held.get(fact.subject_id, Kept(0)).version:
            self.held[fact.subject_id] = Kept(fact.version, fact.digest)


def _against_audit(
    committed: Committed,
    commits: Sequence[Commit],
    told: Told,
    lost: frozenset[int],
    followed: Sequence[_Followed],
) -> Iterator[Violation]:
    """Everything committed came, once, or was covered; and nothing else came."""
    facts = Counter(commit.fact for commit in commits)
    kept = Counter(fact for (epoch, _), fact in told.items() if epoch not in lost)
    for fact, times in (kept - facts).items():
        if fact in facts:
            yield Violation("duplicated", f"{fact} came {times} times more than it was committed")
        else:
            yield Violation("foreign", f"{fact} came, which was not committed for this user")
    missing = facts - Counter(told.values())
    if not any(one.whole and not one.history.merges for one in followed):
        return  # nobody was there from the start who would have to know all
    if len(committed.epochs) == 1:
        # Numbers that nobody was given: each client began after them, or was reset over them, or has a hole there.
        unseen = sum((0, seq) not in told for seq in range(1, len(commits) + 1))
        if missing.total() > unseen:
            for fact, times in missing.items():
                yield Violation("lost", f"{fact} was committed {times} times more than it came")
        return
    for fact, times in missing.items():
        if not any(_contains(snapshot, fact) for one in followed for snapshot in one.covering):
            line = f"{fact} was committed {times} times more than it came, and no snapshot covers it"
            yield Violation("lost", line)


def _contains(snapshot: Snapshot, fact: Fact) -> bool:
    """Whether it may be in there. An order that is not there was removed, and executions never are: what followed
    them, the orders at the end, is compared all the same."""
    return fact.name != "order" or snapshot.orders.get(fact.subject_id, Kept(fact.version)).version >= fact.version


def _versions(told: Told) -> Iterator[Violation]:
    """Within an epoch: a fail-over that lost transactions gives their versions out again."""
    newest: dict[tuple[int, str], int] = {}
    for (epoch, seq), fact in sorted(told.items()):
        if fact.name == "order":
            key = epoch, fact.subject_id
            if fact.version <= newest.get(key, 0):
                line = f"{seq} is version {fact.version} of {fact.subject_id} after {newest[key]}"
                yield Violation("misordered", line)
            newest[key] = fact.version


def _causes(commits: Sequence[Commit], told: Told) -> Iterator[Violation]:
    """What one transaction saw of another comes after it, and its own statements come in their order."""
    occurrences: dict[Fact, list[Commit]] = defaultdict(list)
    for commit in commits:
        occurrences[commit.fact].append(commit)
    # From the end: what a new epoch leaves out comes before it.
    matched = [
        (seq, occurrences[fact].pop())
        for (epoch, seq), fact in sorted(told.items(), reverse=True)
        if epoch >= 0 and occurrences.get(fact)
    ]
    later: list[int] = []  # transactions that come after, sorted
    statements: dict[int, float] = {}
    for seq, commit in matched:
        for xid in later[: bisect_left(later, commit.xmax)]:
            if commit.saw(xid):
                line = f"{seq} is {commit.fact}, whose transaction {commit.xid} saw {xid}, which comes later"
                yield Violation("misordered", line)
        if commit.statement > statements.get(commit.xid, commit.statement):
            line = f"{seq} is {commit.fact}, of a statement after one that comes later in transaction {commit.xid}"
            yield Violation("misordered", line)
        statements[commit.xid] = commit.statement
        index = bisect_left(later, commit.xid)
        if index == len(later) or later[index] != commit.xid:
            insort(later, commit.xid)
