"""What `watch` shows, and its exit status."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest

from orderstream import watch
from orderstream.client import Order
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
    assert watch.age(seconds) == shown


@pytest.mark.parametrize(("filled", "cells"), [("0", 0), ("0.5", 4), ("0.999", 7), ("1", 8), ("3", 8)])
def test_a_bar_is_full_only_when_all_is_filled(filled: str, cells: int) -> None:
    """Almost filled must not look like filled."""
    order = Order(id="a", status="x", quantity=Decimal(1), filled_quantity=Decimal(filled))
    assert watch.fill_bar(order).count("█") == cells


def test_what_could_command_a_terminal_is_replaced() -> None:
    """An order's text is the platform's, and may hold anything."""
    assert "\x1b" not in watch.clean("\x1b[2J")


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


async def test_the_table_shows_status_and_bar() -> None:
    """Rendered to text, as a terminal of 120 columns would show it."""
    from rich.console import Console

    from orderstream.client import Feed

    feed = Feed("http://localhost", "jwt")
    feed.orders["a"] = Order(
        id="a", status="partially_filled", symbol="BTC-USD", quantity=Decimal(2), filled_quantity=Decimal(1)
    )
    console = Console(width=120, record=True, file=StringIO())
    console.print(watch.Screen(feed).render(datetime.now(UTC), 40))
    assert "████░░░░ partially filled" in console.export_text()
