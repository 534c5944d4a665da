"""The checker of the randomized workload: it finds what was planted, and nothing in a history that is right."""

from collections import Counter

import pytest

from tests.system.history import Arrived, Committed, Fact, Received, Snapshot, violations

NEW = Fact("order", "a", 1)
FILLED = Fact("order", "a", 2)
TRADE = Fact("execution", "x")
OTHER = Fact("order", "b", 1)
GONE = Fact("order-removed", "b")

COMMITTED = Committed({"ann": Counter([NEW, TRADE, FILLED, OTHER, GONE])}, {"ann": {"a": 2}})
FACTS = [NEW, TRADE, FILLED, OTHER, GONE]


def whole(facts: list[Fact] = FACTS) -> list[Arrived | Snapshot]:
    return [Arrived(seq, fact) for seq, fact in enumerate(facts, 1)]


def found(*items: Arrived | Snapshot, started_at: int | None = 0) -> list[str]:
    return violations(COMMITTED, [Received("c", "ann", started_at, list(items))])


def test_nothing_is_found_where_all_came_in_order() -> None:
    """From the start, from the middle, from a snapshot, and from one that is newer than its cursor."""
    assert found(*whole()) == []
    assert found(*whole()[2:], started_at=2) == []
    assert found(Snapshot(3, {"a": 2}), *whole()[3:], started_at=None) == []
    assert found(Snapshot(1, {"a": 2, "b": 1}), *whole()[1:], started_at=None) == []


@pytest.mark.parametrize(
    ("items", "line"),
    [
        (whole()[:2] + whole()[3:], "4 came after 2"),
        (whole()[:3] + whole()[2:], "3 came after 3"),
        ([whole()[1], whole()[0], *whole()[2:]], "2 came after 0"),
        (whole()[:4], "ended at 4, and 5 changes were committed"),
        (whole([*FACTS, Fact("order", "z", 7)]), "was not committed for this user"),
        (whole([FILLED, TRADE, NEW, OTHER, GONE]), "3 is version 1 of a after 2"),
        (whole([NEW, TRADE, FILLED, FILLED, GONE]), "came 1 times more than it was committed"),
        (whole([NEW, NEW, FILLED, OTHER, GONE]), "Fact(name='execution', subject_id='x', version=0) was committed 1"),
        (whole([NEW, TRADE, FILLED, GONE, OTHER]), "ended with other orders: [('b', 1)]"),
        ([*whole()[:2], Snapshot(5, {"a": 2})], "a snapshot at 5 that was not asked for, after 2"),
    ],
    ids=["hole", "twice", "swapped", "short", "foreign", "version-fell", "doubled", "lost", "state", "snapshot"],
)
def test_a_planted_violation_is_found(items: list[Arrived | Snapshot], line: str) -> None:
    """Each kind by its own words."""
    assert any(line in said for said in found(*items)), found(*items)


def test_a_snapshot_that_lacks_an_order_is_found() -> None:
    """The orders at the end are compared, not only the events."""
    assert "ended with other orders" in found(Snapshot(5, {}), started_at=None)[0]


def test_one_number_for_two_facts_is_found() -> None:
    """Two clients of a user, each right by itself."""
    other = whole([NEW, FILLED, TRADE, OTHER, GONE])
    lines = violations(COMMITTED, [Received("c", "ann", 0, whole()), Received("d", "ann", 0, other)])
    assert any("for another client" in line for line in lines)
