"""Real logs, ingested whole: what each leaves, and that a second time changes nothing."""

from collections import Counter
from pathlib import Path

import pytest

from tests.ingest.tables import Ended, everything, ingested
from tests.postgres.feed import run
from tests.shared_files import shared_file

LOGS = [
    "crocofix_order_book_tests",
    "hffix_banzai_fix41",
    "quickfixj_tests",
    "sackfix_bridge_fix44",
    "sackfix_docs_fix44",
]


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    """Not beside logs that are not ours."""
    return tmp_path / "set-aside"


def log(database: str, name: str, aside: Path) -> Ended:
    return ingested(database, shared_file(f"fix_logs/{name}.fix"), aside=aside)


@pytest.mark.parametrize("name", LOGS)
def test_a_second_time_changes_nothing(database: str, name: str, aside: Path) -> None:
    """No row, no event, no key; and as much is set aside as the first time."""
    first = log(database, name, aside)
    there = everything(database)
    second = log(database, name, aside)
    assert everything(database) == there
    assert second.count("set aside") == first.count("set aside")
    assert (second.count("orders begun"), second.count("order changes"), second.count("executions")) == (0, 0, 0)


def test_all_logs_in_one_database_stay_apart(database: str, aside: Path) -> None:
    """Though they count their orders and executions from 1, all of them."""
    begun = [log(database, name, aside).count("orders begun") for name in LOGS]
    assert begun == [6, 3, 1, 5, 4]
    assert run(database, "select count(*), count(distinct id) from public.orders") == [(19, 19)]


def test_a_report_seen_at_three_hops_of_a_bridge_is_one(database: str, aside: Path) -> None:
    """48 messages are 5 orders, each with one fill and one cancel, which the bridge sends under the same ExecID."""
    ended = log(database, "sackfix_bridge_fix44", aside)
    assert (ended.status, ended.count("seen before"), ended.count("executions")) == (0, 33, 5)
    rows = run(
        database,
        "select o.client_order_id, e.quantity::int from public.executions e join public.orders o on o.id = e.order_id",
    )
    assert set(rows) == {
        ("42583905", 54_000), ("42583908", 3_297), ("42643889", 8_838), ("42583904", 537_743), ("42584489", 42_000),
    }  # fmt: skip


def test_fills_of_fix_4_1_complete_their_orders(database: str, aside: Path) -> None:
    """Though the OrderID changes with each report, and the first one calls itself a fill of nothing."""
    log(database, "hffix_banzai_fix41", aside)
    rows = run(
        database, "select symbol, status, filled_quantity::int, average_price::text from public.orders order by 1"
    )
    assert rows == [
        ("MSFT", "filled", 10_000, "12.3"),
        ("ORCL", "filled", 10_000, "12.3"),
        ("SPY", "submitted", 0, None),
    ]


def test_an_order_id_may_change_with_a_replace(database: str, aside: Path) -> None:
    """The order is the same, and has its new terms."""
    log(database, "crocofix_order_book_tests", aside)
    rows = run(
        database,
        "select status, quantity::int, price::text, version::int from public.orders where client_order_id = '1'",
    )
    assert rows == [("submitted", 40_000, "11.565", 4)]


def test_what_is_about_no_order_of_the_log_is_set_aside_with_its_line(database: str, aside: Path) -> None:
    """As it came, so that it can be ingested where its order is."""
    log(database, "crocofix_order_book_tests", aside)
    lines = aside.read_bytes().splitlines()
    assert lines[0] == b"# line 2: it is a request about an order of which nothing was seen before"
    kinds = Counter(line.split(b"|35=")[1][:1] for line in lines[1::2])
    assert kinds == {b"G": 2, b"F": 2, b"9": 1}
