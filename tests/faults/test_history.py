"""The checker: it finds what was planted, each kind by its own words, and nothing in a history that is right."""

import pytest

from tests.faults.history import (
    Arrived,
    Broken,
    Commit,
    Committed,
    Fact,
    Item,
    Kept,
    Opened,
    Received,
    Reset,
    Snapshot,
    violations,
)

NEW, FILLED, TRADE = Fact("order", "a", 1), Fact("order", "a", 2), Fact("execution", "x")
OTHER, GONE = Fact("order", "b", 1), Fact("order-removed", "b")
FACTS = [NEW, TRADE, FILLED, OTHER, GONE]
# Each transaction saw those before it.
COMMITS = [Commit(fact, xid, xid) for xid, fact in enumerate(FACTS, 1)]
ORDERS = {"a": Kept(2)}


def committed(
    commits: list[Commit] = COMMITS,
    epochs: tuple[str, ...] = ("e",),
    resets: frozenset[str] = frozenset(),
    lost: frozenset[str] = frozenset(),
) -> Committed:
    return Committed({"ann": commits}, {"ann": ORDERS}, epochs, resets, lost)


def whole(facts: list[Fact] = FACTS, first: int = 1, epoch: str = "e") -> list[Item]:
    return [Arrived(epoch, seq, fact) for seq, fact in enumerate(facts, first)]


def opened(seq: int | None, epoch: str = "e") -> Opened:
    return Opened("sse", None if seq is None else (epoch, seq))


def snapshot(seq: int, epoch: str = "e", **versions: int) -> Snapshot:
    return Snapshot(epoch, seq, {order_id: Kept(version) for order_id, version in versions.items()})


def found(*items: Item, truth: Committed | None = None, merges: bool = False) -> list[str]:
    return [line for _, line in violations(truth or committed(), [Received("c", "ann", list(items), merges)])]


@pytest.mark.parametrize(
    "items",
    [
        [opened(0), *whole()],
        [opened(2), *whole()[2:]],
        [opened(0), *whole()[:2], opened(2), *whole()[2:]],
        [opened(None), snapshot(3, a=2), *whole()[3:]],
        [opened(None), snapshot(1, a=2, b=1), *whole()[1:]],
        [opened(0), *whole()[:2], opened(None), snapshot(4, a=2, b=1), *whole()[4:]],
    ],
    ids=["start", "middle", "resumed", "snapshot", "snapshot-newer-than-its-cursor", "forgotten"],
)
def test_nothing_is_found_where_all_came_in_order(items: list[Item]) -> None:
    """However the client came, and came back."""
    assert found(*items) == []


@pytest.mark.parametrize(
    ("items", "line"),
    [
        (whole()[:2] + whole()[3:], "e.4 came after e.2"),
        (whole()[:3] + whole()[2:], "e.3 came after e.3"),
        ([whole()[1], whole()[0], *whole()[2:]], "e.2 came after e.0"),
        (whole()[:4], "ended at 4, and 5 changes were committed"),
        (whole([*FACTS, Fact("order", "z", 7)]), "was not committed for this user"),
        (whole([FILLED, TRADE, NEW, OTHER, GONE]), "3 is version 1 of a after 2"),
        (whole([NEW, TRADE, FILLED, FILLED, GONE]), "came 1 times more than it was committed"),
        (whole([NEW, NEW, FILLED, OTHER, GONE]), "Fact(name='execution', subject_id='x', version=0, digest='') was"),
        (whole([NEW, TRADE, FILLED, GONE, OTHER]), "ended with other orders: [('b', Kept(version=1, digest=''))]"),
        (whole([TRADE, NEW, FILLED, OTHER, GONE]), "whose transaction 2 saw 1, which comes later"),
        ([*whole()[:2], snapshot(5, a=2)], "a snapshot at 5 that was not asked for, after 2"),
        ([*whole()[:2], Reset("cursor-expired"), snapshot(5, a=2)], "a reset that nothing explains: cursor-expired"),
        ([*whole(), opened(4), whole()[4], whole()[4]], "e.5 came after e.5"),
        ([*whole(), Broken("a frame that is no JSON")], "a frame that is no JSON"),
        (whole([NEW, TRADE, FILLED._replace(digest="other"), OTHER, GONE]), "digest='other') came, which was not"),
        (whole(epoch="f"), "ended in epoch f, and e is in force"),
    ],
    ids=[
        *("hole", "twice", "swapped", "short", "foreign", "version-fell", "doubled", "lost", "state", "cause"),
        *("snapshot", "reset", "twice-after-reconnect", "broken", "changed-on-the-way", "epoch"),
    ],
)
def test_a_planted_violation_is_found(items: list[Item], line: str) -> None:
    """Each kind by its own words."""
    lines = found(opened(0), *items)
    assert any(line in said for said in lines), lines


def test_a_statement_told_after_one_that_followed_it_is_found() -> None:
    """Two statements of one transaction."""
    commits = [Commit(NEW, 1, 1, statement=2.0), Commit(OTHER, 1, 1, statement=1.0)]
    truth = Committed({"ann": commits}, {"ann": {"a": Kept(1), "b": Kept(1)}}, ("e",))
    assert "of a statement after one that comes later" in found(opened(0), *whole([NEW, OTHER]), truth=truth)[0]


def test_transactions_that_did_not_see_each_other_come_in_any_order() -> None:
    """The one that began first was still running."""
    commits = [Commit(NEW, 1, 3, frozenset({2})), Commit(OTHER, 2, 3, frozenset({1}))]
    truth = Committed({"ann": commits}, {"ann": {"a": Kept(1), "b": Kept(1)}}, ("e",))
    assert found(opened(0), *whole([NEW, OTHER]), truth=truth) == []
    assert found(opened(0), *whole([OTHER, NEW]), truth=truth) == []


def test_a_snapshot_that_lacks_an_order_is_found() -> None:
    """The orders at the end are compared, not only the events."""
    assert "ended with other orders" in found(opened(None), snapshot(5))[0]


def test_one_number_for_two_facts_is_found() -> None:
    """Two clients of a user, each right by itself."""
    one, other = [opened(0), *whole()], [opened(0), *whole([NEW, FILLED, TRADE, OTHER, GONE])]
    lines = violations(committed(), [Received("c", "ann", one), Received("d", "ann", other)])
    assert any("for another client" in line for _, line in lines)


def test_a_reset_that_is_explained_covers_what_it_skips() -> None:
    """And nothing besides: the rest must come."""
    truth = committed(resets=frozenset({"cursor-expired"}))
    start = [opened(0), *whole()[:1], opened(1), Reset("cursor-expired")]
    assert found(*start, snapshot(4, a=2, b=1), *whole()[4:], truth=truth) == []
    assert "ended at 4" in found(*start, snapshot(4, a=2, b=1), truth=truth)[0]
    assert "e.5 came after e.1" in found(*start, whole()[4], truth=truth)[0]


def test_what_a_new_epoch_leaves_out_must_be_in_its_snapshot() -> None:
    """What waited for a number then is not numbered any more."""
    truth = committed(epochs=("e", "f"), resets=frozenset({"epoch-changed"}))
    start = [opened(0), *whole()[:2], Reset("epoch-changed")]
    assert found(*start, snapshot(2, "f", a=2), *whole([OTHER, GONE], 3, "f"), truth=truth) == []
    lines = found(*start, snapshot(2, "f", a=1), *whole([OTHER, GONE], 3, "f"), truth=truth)
    assert any("version=2, digest='') was committed 1 times more than it came" in line for line in lines)


def test_what_a_fail_over_lost_may_have_been_told() -> None:
    """In the epoch before; the tables know nothing of it, and versions are given out again."""
    start = [opened(0), *whole([NEW, Fact("order", "a", 2, "lost")]), Reset("epoch-changed"), snapshot(1, "f", a=1)]
    items = [*start, *whole(FACTS[1:], 2, "f")]
    resets = frozenset({"epoch-changed"})
    assert found(*items, truth=committed(epochs=("e", "f"), resets=resets, lost=frozenset({"e"}))) == []
    assert "was not committed" in found(*items, truth=committed(epochs=("e", "f"), resets=resets))[0]


def test_what_was_lost_and_written_again_alike_is_another_change() -> None:
    """The same version with the same content, told before it was lost, and then of a transaction that saw a later one;
    the new epoch left it out, since its snapshot contains it."""
    commits = [Commit(NEW, 1, 1), Commit(TRADE, 2, 2), Commit(FILLED, 3, 3)]
    items = [opened(0), *whole([NEW, FILLED]), Reset("epoch-changed"), snapshot(1, "f", a=2), *whole([TRADE], 2, "f")]
    resets = frozenset({"epoch-changed"})
    assert found(*items, truth=committed(commits, ("e", "f"), resets, lost=frozenset({"e"}))) == []


def test_a_client_that_merges_may_leave_out_but_not_repeat() -> None:
    """Events that its snapshot already contained."""
    assert found(opened(None), snapshot(1, a=2, b=1), *whole()[4:], merges=True) == []
    assert "e.5 came after e.5" in found(opened(None), snapshot(1, a=2), *whole()[4:], whole()[4], merges=True)[0]
