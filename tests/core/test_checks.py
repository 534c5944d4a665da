"""Each rule where it is broken, the matrices of the standard where none is, and what mistakes in them are noticed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orderstream.core.checker import Checker
from orderstream.core.checks import IMPOSSIBLE, RULES, Check, Rule
from tests.core.told import Orders
from tests.matrices import Case, cases
from tests.mutations import MISTAKES, mutants

DOCS = Path(__file__).parents[2] / "docs" / "orders.md"
Row = dict[str, Any]


def checks(steps: Sequence[tuple[str, Row | None, list[Row]]]) -> list[Check | None]:
    """Of each transaction, which is (order, columns, executions), the one check that there is."""
    orders, checker, found = Orders(), Checker(), []
    for order, columns, executions in steps:
        changes = list(orders.write(order, columns, executions))
        verdicts = checker.judge(changes, whole=True)
        assert verdicts.unread == 0
        assert len(verdicts.checks) <= 1
        found.append(next(iter(verdicts.checks.values()), None))
    return found


def played(case: Case) -> list[Check | None]:
    return checks([(w.order, w.columns or None, [w.execution] if w.execution else []) for w in case.writes])


def trade(name: str, quantity: float, price: float | None = None, **more: Any) -> Row:
    return {"name": name, "kind": "trade", "quantity": quantity, "price": price, "refers_to": None} | more


def took_back(name: str, what: str | None, kind: str = "bust", quantity: float = 0, price: float | None = None) -> Row:
    return trade(name, quantity, price, kind=kind, refers_to=what)


NEW: tuple[str, Row, list[Row]] = ("X", {"status": "submitted", "quantity": 10, "exec_type": "new"}, [])


def filled(count: float, status: str = "partially_filled", exec_type: str = "trade", **more: Any) -> Row:
    return {"status": status, "filled_quantity": count, "exec_type": exec_type} | more


TRADED = ("X", filled(4), [trade("a", 4, 100)])
ALL_TRADED = ("X", filled(10, "filled"), [trade("b", 6, 100)])

# rule -> transactions after NEW, of which the last one breaks it.
BROKEN: dict[str, list[tuple[str, Row | None, list[Row]]]] = {
    "negative": [("X", filled(0, "submitted", "replaced", quantity=-1), [])],
    "over-filled": [("X", filled(11), [trade("a", 11)])],
    "filled-with-rest": [("X", filled(9, "filled"), [trade("a", 9)])],
    "precedence": [("X", filled(4, "submitted"), [trade("a", 4)])],
    "lives-again": [("X", {"status": "cancelled", "exec_type": "cancelled"}, []), TRADED],
    "reopened": [TRADED, ALL_TRADED, ("X", filled(10, exec_type="restated"), [])],
    "quantity": [("X", filled(4, quantity=12), [trade("a", 4)])],
    "new-again": [TRADED, ("X", filled(4, exec_type="new"), [])],
    "no-quantity": [("X", None, [trade("a", 0)])],
    "unknown-trade": [TRADED, ("X", filled(0, "submitted", "trade_cancel"), [took_back("b", "z")])],
    "taken-back-twice": [
        TRADED,
        ("X", filled(0, "submitted", "trade_cancel"), [took_back("b", "a")]),
        ("X", None, [took_back("c", "a")]),
    ],
    "fall": [TRADED, ("X", filled(3), [trade("b", 1)])],
    "rise": [TRADED, ("X", filled(5, "pending_cancel", "pending_cancel"), [])],
    "trade-quantity": [TRADED, ("X", filled(7), [trade("b", 2)])],
    "unreported": [TRADED, ("X", filled(7), [])],
    "unbooked": [TRADED, ("X", None, [trade("b", 4, 100)])],
    "average-price": [("X", filled(4, average_price=100.2), [trade("a", 4, 100)])],
}


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_rule_is_named_where_it_is_broken(rule: str) -> None:
    """Only there, by its verdict and sentence."""
    *fine, odd = checks([NEW, *BROKEN[rule]])
    [known] = [each for each in RULES if each.name == rule]
    assert fine == [None] * len(fine)
    assert odd == Check(known.verdict, known.name, known.text)


# What looks like a broken rule, and is none.
FINE: dict[str, list[tuple[str, Row | None, list[Row]]]] = {
    "a completing fill may say partially filled, and filled by itself": [
        TRADED, ("X", filled(10), [trade("b", 6)]), ("X", filled(10, "filled", "restated"), []),
    ],
    "a bust reopens": [
        TRADED, ALL_TRADED, ("X", filled(4, exec_type="trade_cancel"), [took_back("c", "b")]),
    ],
    "a bust may refer to the first report of a corrected trade": [
        TRADED,
        ("X", filled(3, exec_type="trade_correct"), [took_back("b", "a", "correction", 3, 100)]),
        ("X", filled(0, "submitted", "trade_cancel"), [took_back("c", "a")]),
    ],
    "a split is a restatement in proportion, and so are busts after it": [
        TRADED, ("X", filled(8, exec_type="restated", quantity=20), []),
        ("X", filled(0, "submitted", "trade_cancel"), [took_back("b", "a")]),
    ],
    "one split backwards, into thirds": [TRADED, ("X", filled(1.2, exec_type="restated", quantity=3), [])],
    "a row that comes before its execution, in a transaction of its own": [
        ("X", filled(4), []), ("X", None, [trade("a", 4)]), ("X", filled(7), []), ("X", None, [trade("b", 3)]),
    ],
    "executions that nobody writes": [("X", filled(4), []), ("X", filled(10, "filled"), [])],
    "several trades in one transaction": [("X", filled(10, "filled"), [trade("a", 4), trade("b", 6)])],
    "an average that was rounded": [("X", filled(3, average_price=100.33), [trade("a", 2, 100), trade("b", 1, 101)])],
    "an order without a quantity": [
        ("Y", {"status": "submitted", "cash_amount": 100}, []), ("Y", filled(4.9, "filled"), [trade("a", 4.9, 20.4)]),
    ],
    "an order that nobody ordered anything of": [
        ("Y", {"status": "rejected", "quantity": 0, "reason": "1"}, []), ("Y", {"reason": "2"}, []),
    ],
    "first seen in the middle of its life": [
        ("Y", filled(500, quantity=900), []), ("Y", filled(600), [trade("a", 100, 1)]),
        ("Y", filled(500, exec_type="trade_cancel"), [took_back("b", "who knows")]),
    ],
    "an order that is accepted again in the morning": [
        ("X", {"status": "done_for_day", "exec_type": "done_for_day"}, []),
        ("X", {"status": "submitted", "exec_type": "new"}, []),
    ],
    "words that nobody here has heard of": [TRADED, ("X", filled(2, "teleported", "beamed", quantity=12), [])],
}  # fmt: skip


@pytest.mark.parametrize("what", FINE)
def test_nothing_is_odd_about(what: str) -> None:
    """What the standard, a broker or a platform does."""
    assert [check for check in checks([NEW, *FINE[what]]) if check] == []


def test_mistake_is_told_once() -> None:
    """What comes after it is held against what is there now."""
    lost = checks([NEW, TRADED, ("X", filled(7), [trade("c", 1)]), ("X", filled(9), [trade("d", 2)])])
    assert [check and check.rule for check in lost] == [None, None, "trade-quantity", None]


def test_worst_of_an_event_is_told() -> None:
    """One that contradicts itself, before one that does not follow."""
    [_, check] = checks([NEW, ("X", filled(12), [trade("a", 1)])])
    assert check is not None
    assert (check.verdict, check.rule) == (IMPOSSIBLE, "over-filled")


def test_matrices_are_as_they_should_be() -> None:
    """Every row, on every path and branch; but for one whose quantity contradicts the rule that the standard gives."""
    odd = [
        (case.name, write.printed["time"], check.rule)
        for case in cases()
        for write, check in zip(case.writes, played(case), strict=True)
        if check
    ]
    assert odd == [("D.2.b", 7, "quantity")]


def noticed() -> tuple[list[str], int]:
    """A row of the table for each mistake, and how many mistakes there were. One is noticed when any event of its case
    is called odd that was not without it."""
    main = {case.name: case for case in cases() if "-" not in case.name}
    usual = {name: Counter(check.rule for check in played(case) if check) for name, case in main.items()}
    made: Counter[str] = Counter()
    missed_at_the_end: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {mistake: Counter() for mistake in MISTAKES}
    for mutant in mutants(list(main.values())):
        name = mutant.case.name.partition("@")[0]
        made[mutant.mistake] += 1
        rules = [check.rule for check in played(mutant.case) if check]
        if new := Counter(rules) - usual[name]:
            found[mutant.mistake][next(rule for rule in rules if rule in new)] += 1
        elif not any(write.order == main[name].writes[mutant.at].order for write in main[name].writes[mutant.at + 1 :]):
            missed_at_the_end[mutant.mistake] += 1
    rows = []
    for mistake, rules_found in found.items():
        total, by_count = rules_found.total(), sorted(rules_found.items(), key=lambda one: (-one[1], one[0]))
        named = ", ".join(f"`{rule}` {count}" for rule, count in by_count)
        share = f"{100 * total // made[mistake]} %"
        rows.append(f"| {mistake} | {made[mistake]} | {total} | {share} | {missed_at_the_end[mistake]} | {named} |")
    return rows, made.total()


def test_mistakes_in_the_matrices_are_noticed_as_the_docs_say() -> None:
    """The table is what is measured here, each row of it."""
    rows, count = noticed()
    text = DOCS.read_text(encoding="utf-8")
    assert [row for row in rows if row not in text] == []
    assert f"{count:,} mistakes" in text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_stands_in_the_docs(rule: Rule[Any]) -> None:
    """With its verdict, what a person is told, and its source."""
    assert f"| `{rule.name}` | {rule.verdict} | {rule.text} | {rule.source} |" in DOCS.read_text(encoding="utf-8")
