"""What a message says of its order."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.fix import book
from orderstream.core.fix.book import Entry
from orderstream.core.fix.ids import names_of
from orderstream.core.fix.reports import NotRead, PassedOver, Said, Users, at_of, read, whole
from tests.core.fix.lines import HEADER, encoded, message, report

Fields = list[tuple[int | str, object]]


def said(*fields: tuple[int | str, object], users: Users | None = None) -> Said:
    return read(message(report(*fields)), users or Users())


# What is sent -> exec_type, status.
STATES = {
    "new": ([(150, "0"), (39, "0")], "new", "submitted"),
    "pending new": ([(150, "A"), (39, "A")], "pending_new", "pending_new"),
    "trade of FIX 4.4": ([(150, "F"), (39, "1")], "trade", "partially_filled"),
    "partial fill of FIX 4.2": ([(20, "0"), (150, "1"), (39, "1")], "trade", "partially_filled"),
    "fill of FIX 4.2": ([(20, "0"), (150, "2"), (39, "2")], "trade", "filled"),
    "fill of FIX 4.0, without ExecType": ([(20, "0"), (150, ""), (39, "2"), (32, "100")], "trade", "filled"),
    "news of FIX 4.0": ([(20, "0"), (150, ""), (39, "0"), (32, "0")], None, "submitted"),
    "bust of FIX 4.2": ([(20, "1"), (150, "1"), (39, "1")], "trade_cancel", "partially_filled"),
    "correction of FIX 4.2": ([(20, "2"), (150, "2"), (39, "2")], "trade_correct", "filled"),
    "bust of FIX 4.4": ([(150, "H"), (39, "4")], "trade_cancel", "cancelled"),
    "correction of FIX 4.4": ([(150, "G"), (39, "3")], "trade_correct", "done_for_day"),
    "reject about a living order": ([(150, "8"), (39, "1")], "rejected", "partially_filled"),
    "restated": ([(150, "D"), (39, "1")], "restated", "partially_filled"),
    "replaced of FIX 4.2, unfilled": ([(150, "5"), (39, "5"), (14, "0")], "replaced", "submitted"),
    "replaced of FIX 4.2, part filled": ([(150, "5"), (39, "5"), (14, "40")], "replaced", "partially_filled"),
    "replaced of FIX 4.2, to what is filled": ([(150, "5"), (39, "5"), (14, "100")], "replaced", "filled"),
    "fill while pending cancel": ([(150, "F"), (39, "6")], "trade", "pending_cancel"),
    "guaranteed": ([(150, "7"), (39, "7")], "stopped", "stopped"),
    "a code of tomorrow": ([(150, "Y"), (39, "Z")], "fix_Y", "fix_Z"),
}


@pytest.mark.parametrize(("fields", "exec_type", "status"), STATES.values(), ids=STATES.keys())
def test_report_says_what_happened_and_how_it_stands(fields: Fields, exec_type: str | None, status: str) -> None:
    """FIX's words in ours, of every version."""
    one = said(*fields)
    assert (one.exec_type, one.status) == (exec_type, status)


@pytest.mark.parametrize("fields", [[(150, "I")], [(20, "3"), (150, "0")]])
def test_an_answer_to_a_status_request_is_no_event(fields: Fields) -> None:
    """Nothing happened to the order (FIX 5.0 SP2 vol. 4, G.1)."""
    with pytest.raises(PassedOver, match="answers to status requests"):
        said(*fields)


@pytest.mark.parametrize("msg_type", ["0", "1", "2", "3", "4", "5", "A"])
def test_session_messages_are_passed_over(msg_type: str) -> None:
    """They are the engines' own."""
    with pytest.raises(PassedOver, match="session"):
        said((35, msg_type))


NOT_READ = {
    "no status": ([(39, "")], "it has no OrdStatus (39)"),
    "no number": ([(14, "1e5")], "its field 14 is no number: '1e5'"),
    "a list": ([(35, "E")], "lists of orders (E) are not read"),
    "a business reject": ([(35, "j")], "a business reject (j) says nothing of an order's state"),
    "of no kind": ([(35, "W")], "MsgType (35) 'W' is not one about orders"),
    "a leg": ([(442, "2")], "it is about one leg (MultiLegReportingType 2), not about the order"),
    "nameless": (
        [(11, ""), (37, "NONE")],
        "it names no order: neither ClOrdID (11), OrigClOrdID (41) nor OrderID (37)",
    ),
    "a long user": ([(1, "x" * 256)], "the user it names has more than 255 characters"),
}


@pytest.mark.parametrize(("fields", "reason"), NOT_READ.values(), ids=NOT_READ.keys())
def test_what_cannot_be_played_says_why(fields: Fields, reason: str) -> None:
    """For the file of what was set aside."""
    with pytest.raises(NotRead) as raised:
        said(*fields)
    assert str(raised.value) == reason


TAGS = [1, 6, 11, 14, 17, 19, 20, 31, 32, 34, 37, 38, 39, 40, 41, 44, 48, 52, 54, 55, 58, 59, 60, 99, 102, 103]
TAGS += [109, 115, 122, 128, 150, 151, 152, 167, 378, 442, 448, 452, 461]
VALUES = st.sampled_from(["", "0", "1", "F", "100", "-0.5", "1e9", "NaN", "20260302-14:30:00"]) | st.text(
    st.characters(blacklist_characters="\x00\x01", blacklist_categories=["Cs"]), max_size=12
)


@given(st.sampled_from("DFG89"), st.dictionaries(st.sampled_from(TAGS), VALUES))
def test_any_fields_are_played_or_refused_with_a_reason(msg_type: str, fields: dict[int, str]) -> None:
    """Nothing in a log stops an ingest."""
    one = message(encoded([(35, msg_type), *fields.items()]))
    try:
        told = read(one, Users())
    except (NotRead, PassedOver):
        return
    batch = book.play([Entry(told, names_of(told, ""))], {}, {}, "")
    assert msgspec.json.encode(batch.rounds)


def test_a_new_order_names_its_terms() -> None:
    """As exactly as they were written."""
    terms: Fields = [(11, "C1"), (1, "acct"), (55, "SPY"), (54, "5"), (40, "4"), (59, "3"), (38, "100.50")]
    terms += [(44, "10.2500"), (99, "10"), (167, "ETF")]
    one = read(message(encoded([(35, "D"), *HEADER, *terms], version="FIXT.1.1")), Users())
    assert (one.side, one.terms.order_type, one.terms.time_in_force) == ("sell", "stop_limit", "ioc")
    assert (one.terms.quantity, one.terms.price, one.terms.stop_price) == ("100.50", "10.2500", "10")
    assert (one.terms.symbol, one.terms.asset_class, one.user) == ("SPY", "etf", "acct")


def test_an_order_for_cash_has_no_quantity() -> None:
    """CashOrderQty, as mutual funds are bought."""
    one = read(message(encoded([(35, "D"), *HEADER, (11, "C1"), (152, "10000"), (461, "CIOGES")])), Users())
    assert (one.terms.cash_amount, one.terms.quantity, one.terms.asset_class) == ("10000", None, "mutual_fund")


def test_quantity_that_a_report_leaves_out_is_what_is_filled_and_what_is_left() -> None:
    """Which holds while the order lives, and not when it has ended."""
    assert whole(said((38, ""), (14, "40"), (151, "60.5"))) == "100.5"
    assert whole(said((38, ""), (14, "40"), (151, "0"), (150, "4"), (39, "4"))) is None


def test_a_market_order_has_no_price() -> None:
    """Some write 0, and an AvgPx of 0 before anything is filled."""
    one = said((40, "1"), (44, "0"), (6, "0"))
    assert (one.terms.price, one.average_price) == (None, None)


def test_symbol_comes_from_security_id_where_there_is_none() -> None:
    """FIX's own word for none is [N/A]."""
    assert said((55, "[N/A]"), (48, "US0378331005")).terms.symbol == "US0378331005"


REFUSED: Fields = [(35, "9"), *HEADER, (37, "O1"), (11, "C2"), (41, "C1"), (39, "1"), (102, "0"), (58, "too late")]


def test_a_cancel_reject_says_how_the_order_stands() -> None:
    """And nothing of its quantities."""
    one = read(message(encoded(REFUSED)), Users())
    assert (one.status, one.reason_code, one.reason) == ("partially_filled", "too_late_to_cancel", "too late")
    assert (one.filled_quantity, one.exec_type) == (None, None)


REASONS = {
    "a refused order": ([(150, "8"), (39, "8"), (103, "6")], "duplicate_order"),
    "a cancelled one": ([(150, "4"), (39, "4"), (378, "6")], "trading_halt"),
    "a fill of a gateway that sends a reason with all": ([(150, "F"), (39, "1"), (378, "2"), (103, "0")], None),
    "a code of tomorrow": ([(150, "8"), (39, "8"), (103, "77")], "fix_77"),
}


@pytest.mark.parametrize(("fields", "code"), REASONS.values(), ids=REASONS.keys())
def test_reasons_are_in_our_codes(fields: Fields, code: str | None) -> None:
    """Those of the table that clients know."""
    assert said(*fields).reason_code == code


@pytest.mark.parametrize("unknown", [(102, "1"), (37, "NONE")])
def test_a_cancel_reject_of_an_unknown_order_says_nothing_of_ours(unknown: tuple[int, str]) -> None:
    """Its status is Rejected, which the order that we know is not."""
    fields = dict(REFUSED) | dict([unknown, (39, "8")])
    assert read(message(encoded([*fields.items()])), Users()).status is None


USERS = {
    "Account": ([(1, "acct"), (109, "client")], Users(), "acct"),
    "the tags asked for, in their order": ([(1, "acct"), (109, "client")], Users(tags=("440", "109")), "client"),
    "ClientID where there is none": ([(109, "client")], Users(), "client"),
    "the client's party": ([(453, 2), (448, "EXCH"), (452, "4"), ("448", "party"), ("452", "3")], Users(), "party"),
    "the client's end": ([], Users(), "DESK"),
    "whom it was delivered to": ([(128, "FUND")], Users(), "FUND"),
    "one for all": ([(1, "acct")], Users(fixed="ann"), "ann"),
}


@pytest.mark.parametrize(("fields", "users", "user"), USERS.values(), ids=USERS.keys())
def test_user_is_named_by(fields: Fields, users: Users, user: str) -> None:
    """What the message has."""
    usual: Fields = [(35, "8"), *HEADER, (37, "O1"), (39, "0"), *fields]
    assert read(message(encoded(usual)), users).user == user


TIMES = {
    "20260302-14:30:00": "2026-03-02T14:30:00.000000Z",
    "20260302-14:30:00.1": "2026-03-02T14:30:00.100000Z",
    "20260302-14:30:00.123456789": "2026-03-02T14:30:00.123456Z",
    "20161231-23:59:60": "2016-12-31T23:59:59.000000Z",
    "20260231-14:30:00": None,
    "2026-03-02 14:30:00": None,
    "20260302-14:30:00,5": None,
    "": None,
}


@pytest.mark.parametrize(("text", "at"), TIMES.items())
def test_times_are_utc_to_microseconds(text: str, at: str | None) -> None:
    """A leap second is the one before it, and what is no time is none."""
    assert at_of(text) == at


def test_time_of_sending_stands_in_for_time_of_transaction() -> None:
    """Where there is none, or it is none."""
    assert said((60, "yesterday")).at == "2026-03-02T14:30:00.125000Z"
    assert said((60, "20260302-14:29:59")).at == "2026-03-02T14:29:59.000000Z"
