"""Names that stay, and what they tell apart."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderstream.core.fix import ids
from orderstream.core.fix.ids import Names, names_of
from orderstream.core.fix.reports import Users, read
from tests.core.fix.lines import message, report


def names(*fields: tuple[int, object], source: str = "") -> Names:
    return names_of(read(message(report(*fields)), Users()), source)


@given(st.lists(st.text(max_size=10), max_size=4))
def test_ids_are_uuids_of_version_5(parts: list[str]) -> None:
    """As the standard library reckons them."""
    namespace = uuid.UUID(bytes=ids._NAMESPACE)
    assert ids.uuid_of(*parts) == str(uuid.uuid5(namespace, "\x1f".join(parts)))


HOPS = {
    "other CompIDs": [(49, "HUB"), (56, "CUSTOMER"), (34, 99), (128, "FUND")],
    "sent later": [(52, "20260302-14:30:09")],
    "a PossDup": [(43, "Y"), (122, "20260302-14:30:00.125"), (52, "20260302-15:00:00")],
    "another symbology": [(55, "2046251"), (22, 2)],
    "pounds for pence": [(6, "10.49")],
    "zeros behind": [(14, "40.000"), (32, "40.0")],
}


@pytest.mark.parametrize("change", HOPS.values(), ids=HOPS.keys())
def test_a_report_is_the_same_at_every_hop(change: list[tuple[int, object]]) -> None:
    """Whatever gateways change on its way."""
    fill = [(60, "20260302-14:30:00"), (17, "E2"), (150, "F"), (39, "1"), (14, "40"), (32, "40"), (6, "1049")]
    assert names(*fill).message == names(*fill, *change).message


DIFFERENCES = {
    "another execution": [(17, "E3")],
    "another order": [(37, "O2")],
    "the other side": [(54, "2")],
    "another status under the same ExecID": [(150, "4"), (39, "4")],
    "the fill that was announced without a quantity": [(32, "40")],
    "the next day": [(52, "20260303-14:30:00")],
}


@pytest.mark.parametrize("change", DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_another_report_is_another(change: list[tuple[int, object]]) -> None:
    """Also where ids are counted from 1 anew each day, and where one ExecID stands for two facts."""
    fill = [(17, "E2"), (150, "1"), (39, "1"), (14, "40"), (32, "0")]
    assert names(*fill).message != names(*fill, *change).message


def test_reports_without_an_exec_id_are_told_apart_by_their_place() -> None:
    """FIX 4.0 answers with 0."""
    assert names((17, "0"), (34, 1)).message != names((17, "0"), (34, 2)).message


def test_sources_are_kept_apart() -> None:
    """Two brokers may both be called BROKER."""
    assert not set(names(source="a").all()) & set(names(source="b").all())


def test_two_accounts_of_a_session_may_use_one_name() -> None:
    """What leads to an order for sure is the account's own."""
    one, other = names((1, "A")), names((1, "B"))
    assert one.own != other.own
    assert one.plain == other.plain
