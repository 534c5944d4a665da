"""What `watch` shows, and its exit status."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from orderstream import watch
from orderstream.client import Feed, Order, OrderChanged
from orderstream.watch import words
from orderstream.watch.screen import Screen
from tests.client import script as s
from tests.client.script import Script


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with s.running(Script()) as running:
        yield running


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0 s"), (2.9, "2 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_an_age_is_given_in_its_largest_whole_unit(seconds: float, shown: str) -> None:
    """A clock ahead of ours gives no negative age."""
    assert words.age(seconds) == shown


@pytest.mark.parametrize(("filled", "cells"), [("0", 0), ("0.5", 4), ("0.999", 7), ("1", 8), ("3", 8)])
def test_a_bar_is_full_only_when_all_is_filled(filled: str, cells: int) -> None:
    """Almost filled must not look like filled."""
    order = Order(id="a", status="x", quantity=Decimal(1), filled_quantity=Decimal(filled))
    assert words.fill_bar(order, 8).count("█") == cells


def test_what_could_command_a_terminal_is_replaced() -> None:
    """An order's text is the platform's, and may hold anything."""
    assert "\x1b" not in words.clean("\x1b[2J")


async def test_a_refused_token_is_one_line_and_status_2(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback, and nothing on standard output but the events."""
    script.streams = [s.status(401)]
    assert await watch.main(script.url, "jwt", plain=True) == 2
    assert capsys.readouterr().err.count("\n") == 1


async def test_events_are_lines_when_there_is_no_terminal(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """One line an event, with its transport and cursor."""
    end = s.goaway("overload", reconnect=False)
    script.streams = [s.stream(s.snapshot(4), s.live(4), s.order(5, "a"), end)]
    assert await watch.main(script.url, "jwt") == 1
    assert f" sse {s.at(5)} order a " in capsys.readouterr().out


def picture(width: int) -> list[str]:
    """The lines of a screen with one order that has the longest of everything, as text."""
    feed = Feed("http://localhost", "jwt")
    feed.orders["a"] = Order(
        id="a",
        status="partially_filled",
        symbol="DOGE-USD",
        side="sell",
        order_type="stop_limit",
        quantity=Decimal("0.0050"),
        price=Decimal("97655.11"),
        filled_quantity=Decimal("0.0025"),
        average_price=Decimal("97530.66123456"),
    )
    screen, now = Screen(feed), datetime.now(UTC)
    screen.take(OrderChanged(order=feed.orders["a"], written_at=now - timedelta(milliseconds=6)), now)
    console = Console(width=width, record=True, file=StringIO())
    console.print(screen.render(now, width, 24))
    return console.export_text().splitlines()


async def test_a_wide_table_shows_all_of_an_order() -> None:
    """Status with its bar, type and average price."""
    shown = "\n".join(picture(120))
    assert "████░░░░ partially filled" in shown
    assert "stop_limit" in shown
    assert "97530.66123456" in shown


@pytest.mark.parametrize("width", [80, 120])
async def test_side_and_price_are_whole(width: int) -> None:
    """Whatever the room: a cut price would be another one."""
    (row,) = [line for line in picture(width) if "DOGE-USD" in line]
    assert " sell " in row
    assert " 97655.11 " in row


async def test_a_narrow_screen_drops_type_and_average() -> None:
    """At 80 columns, so that status and price keep their room, and each line is one line."""
    lines = picture(80)
    assert lines[0].endswith("6.0 ms after write (both clocks)")
    assert lines[1].split() == ["symbol", "side", "quantity", "price", "status", "filled", "changed"]
    assert "██░░ partially filled" in lines[3]


async def test_the_headline_counts_from_the_write_to_its_receipt() -> None:
    """Painting takes its time, which is not the service's."""
    assert "written to received 6.0 ms (clock of both hosts)" in "".join(picture(120))
