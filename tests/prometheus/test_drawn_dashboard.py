"""The picture of the dashboard: its values, marks and legends say what Prometheus answered."""

from typing import Any

import pytest

from scripts.dashboard import Series, Span, drawn, filled, logarithmic_scale, named, scale, written
from tests.prometheus.watching import panels

SPAN = Span(1000.0, 1060.0)


def panel(title: str) -> dict[str, Any]:
    """Of the dashboard."""
    [found] = [one for one in panels() if one["title"] == title]
    return found


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0, "s", "0 s"),
        (0.0005, "s", "500 µs"),
        (0.0234, "s", "23.4 ms"),
        (2.5, "s", "2.5 s"),
        (600.0, "s", "10 min"),
        (0.9994, "percentunit", "99.94 %"),
        (0.0, "bytes", "0 B"),
        (83886080.0, "bytes", "80 MiB"),
        (1536.0, "Bps", "1.5 KiB/s"),
        (95.14, "cps", "95.1 c/s"),
        (12345.0, "none", "12,345"),
    ],
)
def test_value_is_written_in_its_unit(value: float, unit: str, words: str) -> None:
    """Three digits, as Grafana does."""
    assert written(value, unit) == words


@pytest.mark.parametrize(
    ("high", "unit", "marks"),
    [
        (0.0, "none", [0, 1]),
        (53.0, "none", [0, 20, 40, 60]),
        (600.0, "s", [0, 120, 240, 360, 480, 600]),
        (80 * 1024**2, "bytes", [0, 20 * 1024**2, 40 * 1024**2, 60 * 1024**2, 80 * 1024**2]),
    ],
)
def test_marks_are_round_in_the_unit_and_hold_the_highest(high: float, unit: str, marks: list[float]) -> None:
    """From 0."""
    assert scale(high, unit) == pytest.approx(marks)


@pytest.mark.parametrize(("low", "high", "marks"), [(0.002, 0.25, [0.001, 0.01, 0.1, 1]), (0.01, 0.01, [0.01, 0.1])])
def test_logarithmic_marks_hold_the_lowest_and_the_highest(low: float, high: float, marks: list[float]) -> None:
    """Powers of ten."""
    assert logarithmic_scale(low, high) == pytest.approx(marks)


def test_legend_and_query_have_their_variables_put_in() -> None:
    """A label that a series lacks is empty."""
    assert named({"legendFormat": "{{transport}}, {{ part }}half"}, {"transport": "sse"}) == "sse, half"
    assert "$" not in filled('rate(a{instance=~"$instance"}[$__rate_interval])')


def test_line_is_drawn_where_its_values_are() -> None:
    """On the logarithmic scale of that panel, and with a gap where there was none; its name is text."""
    points = [(1000.0, 0.002), (1001.0, 0.25), (1030.0, 0.25)]
    shown = drawn(panel("From the write to the socket"), [Series("<one>", points)], SPAN)
    assert "&lt;one&gt;" in shown
    assert [shown.count(mark) for mark in ("<polyline", ">1 ms<", ">1 s<")] == [2, 1, 1]
    width, height = 10 * 44 - 22, 8 * 24 - 60
    low, high = 6 + (height - 12) * (1 - 0.10034), 6 + (height - 12) * (1 - 0.79931)
    after_1_s, in_the_middle = 54 + (width - 54) / 60, 54 + (width - 54) / 2
    assert f'points="54.0,{low:.1f} {after_1_s:.1f},{high:.1f}"' in shown
    assert f'points="{in_the_middle:.1f},{high:.1f}"' in shown


def test_stat_has_the_colour_of_its_threshold() -> None:
    """The newest value of its series."""
    shown = drawn(panel("Canary in time, last hour"), [Series("", [(0.0, 1.0), (1.0, 0.995)])], SPAN)
    assert "99.5 %" in shown
    assert "background:#c15c17" in shown


def test_panel_without_an_answer_says_so() -> None:
    """No picture hides that a query found nothing."""
    assert "no data" in drawn(panel("Errors"), [], SPAN)
