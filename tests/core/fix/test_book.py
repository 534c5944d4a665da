"""What is written for messages: one batch, from nothing or from what is known."""

import pytest

from orderstream.core.fix import book
from orderstream.core.fix.book import Batch, Entry, ExecutionRow, Key, OrderRow, Standing
from orderstream.core.fix.ids import names_of, uuid_of
from orderstream.core.fix.reports import Users, read
from tests.core.fix.lines import encoded, message, report

ROUTE = [(49, "DESK"), (56, "BROKER"), (52, "20260302-14:30:00")]


def entry(text: bytes, *, is_retried: bool = False) -> Entry:
    said = read(message(text), Users())
    return Entry(said, names_of(said, ""), is_retried)


def request(msg_type: str, *fields: tuple[int, object]) -> bytes:
    usual = {35: msg_type, **dict(ROUTE), 11: "C1", 55: "AAPL", 54: "1", 38: "100", 40: "2", 44: "10"}
    return encoded([*(usual | dict(fields)).items()])


class Tables:
    """What batches leave behind, as the ledger and the table of orders would have it."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.orders: dict[str, Standing] = {}
        self.rows: list[OrderRow] = []
        self.executions: list[ExecutionRow] = []

    def play(self, *texts: bytes, is_retried: bool = False) -> Batch:
        batch = book.play([entry(text, is_retried=is_retried) for text in texts], self.keys, self.orders, "")
        for one in batch.rounds:
            self.keys |= one.keys
            for row in one.new:
                ended = row.status in ("filled", "cancelled", "rejected")
                self.orders[row.id] = Standing(row.side or "", ended, (row.created_at or "")[:10])
            for row in one.changed:
                there = self.orders[row.id]
                self.orders[row.id] = Standing(there.side, row.status in ("filled", "cancelled", "rejected"), there.day)
            self.rows += [*one.new, *one.changed]
            self.executions += one.executions
        return batch


LIFE = [
    request("D"),
    report(),
    report((17, "E2"), (150, "F"), (39, "1"), (14, "40"), (32, "40"), (31, "10")),
    report((17, "E3"), (150, "F"), (39, "2"), (14, "100"), (32, "60"), (31, "10"), (151, "0")),
]


def test_a_life_is_one_order() -> None:
    """A request that makes it, and a change of each report, in rounds."""
    tables = Tables()
    batch = tables.play(*LIFE)
    assert [row.status for row in tables.rows] == ["pending_new", "submitted", "partially_filled", "filled"]
    assert len({row.id for row in tables.rows}) == 1
    assert [(len(one.new), len(one.executions), len(one.changed)) for one in batch.rounds] == [
        (1, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 1),
    ]  # fmt: skip


def test_batches_do_not_matter() -> None:
    """The same rows, whether the messages come at once or one by one."""
    together, singly = Tables(), Tables()
    together.play(*LIFE)
    for text in LIFE:
        singly.play(text)
    assert (together.rows, together.executions) == (singly.rows, singly.executions)


def test_a_second_time_nothing_is_written() -> None:
    """Not even a key."""
    tables = Tables()
    tables.play(*LIFE)
    again = tables.play(*LIFE)
    assert (again.rounds, again.repeats) == ([], 4)


def test_changes_of_different_orders_share_a_round() -> None:
    """So that a batch is few statements."""
    others = [request("D", (11, f"C{n}"), (60, "20260302-14:30:00")) for n in range(2, 9)]
    assert len(Tables().play(*LIFE, *others).rounds) == 4


def test_requests_change_nothing_until_they_are_answered() -> None:
    """Only their names are learned: the answer may come under the new one alone."""
    tables = Tables()
    tables.play(LIFE[0], LIFE[1], request("G", (11, "C2"), (41, "C1"), (38, "50")))
    assert len(tables.rows) == 2
    tables.play(report((11, "C2"), (37, "O2"), (17, "E2"), (150, "5"), (38, "50"), (41, "C1")))
    assert (tables.rows[-1].id, tables.rows[-1].client_order_id) == (tables.rows[0].id, "C2")
    assert tables.rows[-1].original_client_order_id == "C1"


@pytest.mark.parametrize(
    ("code", "name", "before"),
    [("6", None, None), ("E", None, None), ("4", "C2", "C1"), ("5", "C2", "C1"), ("F", None, None)],
)
def test_a_request_gives_the_order_its_name_when_it_is_accepted(
    code: str, name: str | None, before: str | None
) -> None:
    """Not while it is pending, and fills in between do not either."""
    tables = Tables()
    tables.play(LIFE[0], report((11, "C2"), (41, "C1"), (17, "E2"), (150, code), (39, "1")))
    assert (tables.rows[-1].client_order_id, tables.rows[-1].original_client_order_id) == (name, before)


def test_an_order_first_seen_in_the_middle_of_its_life_is_as_the_report_has_it() -> None:
    """With the trade that the report is, and no other."""
    tables = Tables()
    tables.play(report((17, "E9"), (150, "F"), (39, "1"), (14, "70"), (32, "10"), (31, "9.5"), (6, "9.8")))
    (row,), (execution,) = tables.rows, tables.executions
    assert (row.status, row.filled_quantity, row.quantity, row.exec_type) == ("partially_filled", "70", "100", "trade")
    assert (execution.quantity, execution.price, execution.order_id) == ("10", "9.5", row.id)


def test_pending_cancel_of_an_order_not_seen_before_names_the_order() -> None:
    """Not the request."""
    tables = Tables()
    tables.play(report((11, "C2"), (41, "C1"), (150, "6"), (39, "6")))
    assert tables.rows[0].client_order_id == "C1"


def test_a_report_before_its_order_is_one_order() -> None:
    """Logs of two directions are merged as it comes."""
    tables = Tables()
    tables.play(LIFE[1], LIFE[0], LIFE[2])
    assert len(tables.rows) == 2
    assert len({row.id for row in tables.rows}) == 1


def test_a_bust_and_a_correction_refer_to_their_trade() -> None:
    """By ExecRefID; a bust's quantity is what its report says, which may be nothing."""
    tables = Tables()
    bust = report((17, "E4"), (19, "E2"), (150, "H"), (39, "1"), (14, "60"), (32, "0"))
    correction = report((17, "E5"), (19, "E3"), (150, "G"), (39, "1"), (14, "50"), (32, "50"), (31, "11"))
    tables.play(*LIFE, bust, correction)
    trades, order_id = tables.executions[:2], tables.rows[0].id
    assert [(one.kind, one.refers_to, one.quantity) for one in tables.executions[2:]] == [
        ("bust", trades[0].id, "0"), ("correction", trades[1].id, "50"),
    ]  # fmt: skip
    assert trades[0].id == uuid_of("execution", order_id, "E2")


def test_only_trades_are_executions() -> None:
    """A guarantee has a LastQty and is none (FIX 5.0 SP2 vol. 4, L.1.a); nor is a fill of nothing."""
    tables = Tables()
    tables.play(LIFE[0], report((150, "7"), (39, "7"), (32, "1000")), report((17, "E2"), (150, "1"), (32, "0")))
    assert tables.executions == []


def test_a_resend_under_other_comp_ids_is_known_and_teaches_them() -> None:
    """The next report of that hop finds its order, even where neither OrderID nor anything else is like before."""
    tables = Tables()
    hop = [(49, "ROUTER"), (56, "FUND")]
    tables.play(LIFE[0], report((60, "20260302-14:30:00")))
    assert tables.play(report(*hop, (60, "20260302-14:30:00"))).repeats == 1
    tables.play(report(*hop, (37, "R7"), (17, "R1"), (150, "4"), (39, "4")))
    assert len({row.id for row in tables.rows}) == 1


def test_two_accounts_of_a_drop_copy_may_use_one_name() -> None:
    """Their reports tell them apart, from the first on."""
    tables = Tables()
    one, other = [(1, "A"), (37, "O1")], [(1, "B"), (37, "O2")]
    tables.play(report(*one), report(*other, (38, "7")), report(*one, (17, "E2"), (39, "4"), (150, "4")))
    assert [row.id == tables.rows[0].id for row in tables.rows] == [True, False, True]


def test_a_broker_may_have_another_name_for_an_account() -> None:
    """Than its client has in the request."""
    tables = Tables()
    tables.play(request("D", (1, "ann")), report((1, "0042-ANN")))
    assert len({row.id for row in tables.rows}) == 1


def test_a_duplicate_name_is_no_second_order() -> None:
    """Its reject is told of the first one, which lives (FIX 5.0 SP2 vol. 4, F.1.a)."""
    tables = Tables()
    second = request("D", (38, "15000"), (52, "20260302-14:31:00"))
    tables.play(*LIFE[:3], second, report((17, "E4"), (150, "8"), (39, "1"), (103, "6"), (14, "40")))
    assert len({row.id for row in tables.rows}) == 1
    last = tables.rows[-1]
    assert (last.exec_type, last.status, last.reason_code) == ("rejected", "partially_filled", "duplicate_order")


def test_names_come_back_on_another_day() -> None:
    """Of an order that has ended: FIX wants a ClOrdID unique for a day only. The day before is still known."""
    tables = Tables()
    tables.play(*LIFE)
    next_day = [(52, "20260303-09:00:00")]
    tables.play(request("D", *next_day), report(*next_day))
    first, second = tables.rows[0].id, tables.rows[-1].id
    assert [row.id for row in tables.rows] == [first] * 4 + [second] * 2
    assert first != second
    assert tables.play(*LIFE).repeats == 4


def test_an_order_that_lives_overnight_keeps_its_name() -> None:
    """Good till cancelled: the next day's reports are about it."""
    tables = Tables()
    tables.play(*LIFE[:3], report((17, "E9"), (150, "D"), (39, "1"), (52, "20260303-08:00:00")))
    assert len({row.id for row in tables.rows}) == 1


def test_what_speaks_of_an_order_never_seen_is_set_aside() -> None:
    """And again whenever the log is read again, so that it is not played behind what came after it; only from the file
    that it was set aside to it is played late."""
    tables = Tables()
    refusal = encoded([(35, "9"), (49, "BROKER"), (56, "DESK"), (11, "C9"), (41, "C1"), (37, "O1"), (39, "0")])
    assert tables.play(refusal, *LIFE[:2]).aside == [
        (0, "it is a refusal about an order of which nothing was seen before")
    ]
    assert len(tables.play(refusal).aside) == 1
    assert len(tables.play(refusal, is_retried=True).rounds[0].changed) == 1


def test_a_first_report_without_a_symbol_makes_no_order() -> None:
    """There is nothing to show."""
    assert Tables().play(report((55, ""))).aside == [(0, "it is the first about its order and has no Symbol (55)")]


def test_an_order_that_was_deleted_begins_again_with_what_is_heard_of_it() -> None:
    """Archived, say; under the id that it had."""
    tables = Tables()
    tables.play(*LIFE[:2])
    tables.orders.clear()
    batch = tables.play(LIFE[2])
    assert batch.rounds[0].new[0].id == tables.rows[0].id
