"""Many orders at once: whose past is asked for, what a window splits, what cannot be read, and what is forgotten."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.checker import MAX_STRANGERS, Change, Checker
from orderstream.core.life import MAX_EXECUTIONS
from tests.core.told import Orders, Row


def trade(name: str, quantity: int, **more: Any) -> Row:
    return {"name": name, "kind": "trade", "quantity": quantity, "price": 1, "refers_to": None} | more


@dataclass
class Desk:
    """An order of ten, of which four are filled, and its events so far."""

    orders: Orders
    past: list[Change]

    def next(self, filled: int, traded: int) -> list[Change]:
        """A fill: one transaction."""
        columns = {"filled_quantity": filled, "exec_type": "trade"}
        return list(self.orders.write("X", columns, [trade(f"to-{filled}", traded)]))


@pytest.fixture
def desk() -> Desk:
    orders = Orders()
    past = list(orders.write("X", {"status": "submitted", "quantity": 10}))
    past += orders.write(
        "X", {"status": "partially_filled", "filled_quantity": 4, "exec_type": "trade"}, [trade("a", 4)]
    )
    return Desk(orders, past)


def rules(checker: Checker, batch: list[Change], *, whole: bool = True) -> dict[int, str]:
    return {place: check.rule for place, check in checker.judge(batch, whole=whole).checks.items()}


def test_transaction_is_judged_at_its_last_event(desk: Desk) -> None:
    """Only then is all of it known."""
    checker = Checker()
    assert rules(checker, desk.past) == {}
    assert rules(checker, desk.next(7, 2)) == {1: "trade-quantity"}


def test_several_transactions_in_a_batch_are_judged_each(desk: Desk) -> None:
    """Also where two transactions' events lie between each other, since nothing keeps executions apart."""
    first, second = desk.next(6, 2), desk.next(9, 2)
    batch = [*desk.past, first[0], second[0], first[1], second[1]]
    assert rules(Checker(), batch) == {len(desk.past) + 3: "trade-quantity"}


def test_order_that_is_new_is_no_stranger_and_one_that_changed_before_is(desk: Desk) -> None:
    """Until its past was told, or some of it."""
    checker = Checker()
    assert checker.strangers(desk.past) == []
    batch = desk.next(7, 3)
    assert checker.strangers(batch) == [("ann", "X")]
    checker.recall(("ann", "X"), [])
    assert checker.strangers(batch) == []


def test_past_that_is_recalled_counts_as_if_it_had_been_seen(desk: Desk) -> None:
    """By the next leader, which finds the same odd."""
    checker = Checker()
    checker.recall(("ann", "X"), [(change.name, change.body) for change in desk.past])
    assert rules(checker, desk.next(7, 2)) == {1: "trade-quantity"}


def test_past_that_is_not_known_is_no_reason_to_say_anything(desk: Desk) -> None:
    """First seen in the middle of its life; what changes from there on is held against what it was."""
    checker = Checker()
    assert rules(checker, desk.next(9, 1)) == {}
    assert rules(checker, desk.next(10, 2)) == {1: "trade-quantity"}


def test_no_more_pasts_are_asked_for_at_once_than_a_leader_has_time_for() -> None:
    """The others' orders are first seen in the middle of their lives."""
    orders = Orders()
    for number in range(MAX_STRANGERS + 5):
        list(orders.write(str(number), {"status": "submitted"}))
    batch = [
        change for number in range(MAX_STRANGERS + 5) for change in orders.write(str(number), {"status": "stopped"})
    ]
    assert len(Checker().strangers(batch)) == MAX_STRANGERS


def test_transaction_that_a_window_splits_is_judged_when_it_is_over(desk: Desk) -> None:
    """A fill and its row are one, in whichever step they come."""
    checker, [report, row] = Checker(), desk.next(7, 3)
    assert rules(checker, [*desk.past, report], whole=False) == {}
    assert rules(checker, [row]) == {}
    [report, row] = desk.next(9, 1)
    assert rules(checker, [report], whole=False) == {}
    assert rules(checker, [row]) == {0: "trade-quantity"}


def test_order_of_one_user_has_no_past_in_another_users_eyes(desk: Desk) -> None:
    """They were not told of it."""
    batch = [msgspec.structs.replace(change, user_id="bob") for change in desk.next(7, 2)]
    checker = Checker()
    checker.judge(desk.past, whole=True)
    assert checker.strangers(batch) == [("bob", "X")]


UNREADABLE = [
    '"filled_quantity":"NaN"', '"filled_quantity":"Infinity"', '"filled_quantity":null', '"filled_quantity":1e400000',
    f'"filled_quantity":{"9" * 200}.{"9" * 200}', '"status":null', '"quantity":{}',
]  # fmt: skip


@pytest.mark.parametrize("field", UNREADABLE, ids=lambda field: field[:30])
def test_what_cannot_be_read_is_counted_and_the_rest_judged(desk: Desk, field: str) -> None:
    """Nothing is said of it, and after it the order is one that is first seen."""
    checker = Checker()
    checker.judge(desk.past, whole=True)
    order = f'{{"status":"partially_filled","filled_quantity":4,{field}}}'
    body = f'{{"order":{order},"previous_status":"partially_filled"}}'
    broken = Change("9", "ann", "X", "order", body)
    other = list(Orders().write("Y", {"status": "filled", "quantity": 5, "filled_quantity": 4}))
    verdicts = checker.judge([broken, *other], whole=True)
    assert (verdicts.unread, [check.rule for check in verdicts.checks.values()]) == (1, ["filled-with-rest"])
    assert rules(checker, desk.next(9, 1)) == {}


def test_only_so_many_orders_are_remembered(desk: Desk) -> None:
    """The one that did not change for the longest is a stranger again."""
    checker, orders = Checker(max_orders=2), Orders()
    checker.judge(desk.past, whole=True)
    for name in ("Y", "Z"):
        checker.judge(list(orders.write(name, {"status": "submitted"})), whole=True)
    assert len(checker) == 2
    assert checker.strangers(desk.next(7, 3)) == [("ann", "X")]


def test_order_that_is_removed_is_forgotten(desk: Desk) -> None:
    """With all that it takes."""
    checker = Checker()
    checker.judge([*desk.past, Change("9", "ann", "X", "order-removed", '{"order_id":"X"}')], whole=True)
    assert len(checker) == 0


def test_only_so_many_executions_of_an_order_are_remembered(desk: Desk) -> None:
    """Then nobody can say whether one is known that a bust refers to, and the sums go on."""
    checker, orders = Checker(), Orders()
    batch = list(orders.write("X", {"status": "submitted", "quantity": 10**6}))
    for number in range(1, MAX_EXECUTIONS + 2):
        batch += orders.write("X", {"filled_quantity": number, "status": "partially_filled", "exec_type": "trade"}, [
            trade(str(number), 1)
        ])  # fmt: skip
    bust = {"name": "bust", "kind": "bust", "quantity": 0, "price": None, "refers_to": "1"}
    batch += orders.write("X", {"filled_quantity": MAX_EXECUTIONS, "exec_type": "trade_cancel"}, [bust])
    assert rules(checker, batch) == {}
    odd = list(orders.write("X", {"filled_quantity": MAX_EXECUTIONS + 9, "exec_type": "trade"}, [trade("last", 1)]))
    assert rules(checker, odd) == {1: "trade-quantity"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NUMBER = st.decimals() | st.integers(-20, 20).map(Decimal) | st.just(Decimal("1e999999"))
_ROW = st.fixed_dictionaries(
    {"status": st.sampled_from(["submitted", "filled", "cancelled", "odd"]), "filled_quantity": _NUMBER},
    optional={"quantity": st.none() | _NUMBER, "average_price": st.none() | _NUMBER, "cash_amount": _NUMBER},
)
_REPORT = st.fixed_dictionaries(
    {
        "id": st.sampled_from("abc"),
        "kind": st.sampled_from(["trade", "bust", "correction", "odd"]),
        "quantity": _NUMBER,
    },
    optional={"price": st.none() | _NUMBER, "refers_to": st.sampled_from([None, "a", "b", "z"])},
)
_ORDER = st.fixed_dictionaries(
    {"order": _ROW, "exec_type": st.sampled_from(["trade", "restated", "new", None, "odd"])},
    optional={"previous_status": st.sampled_from([None, "submitted", "filled"])},
)
_EVENT = st.one_of(
    st.tuples(st.just("order"), _ORDER | _JSON),
    st.tuples(st.just("execution"), st.fixed_dictionaries({"execution": _REPORT}) | _JSON),
    st.tuples(st.just("order-removed"), _JSON),
)


@given(st.lists(st.tuples(st.sampled_from("12"), _EVENT), max_size=12), st.booleans())
def test_nothing_that_an_event_says_makes_the_checker_fail(told: list[tuple[str, Any]], whole: bool) -> None:
    """Numbers that are none, digits without end, busts of busts, other shapes; and it goes on after them."""
    encode = msgspec.json.Encoder(decimal_format="number").encode
    batch = [Change(xid, "ann", "X", name, encode(said).decode()) for xid, (name, said) in told]
    checker = Checker()
    for first in range(0, len(batch), 4):
        verdicts = checker.judge(batch[first : first + 4], whole=whole)
        assert verdicts.unread <= 2 * len(batch[first : first + 4])
    assert rules(checker, list(Orders().write("Y", {"status": "filled", "quantity": 5, "filled_quantity": 4})))
