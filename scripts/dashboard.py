"""The dashboard of config/grafana as a plain page: each panel in its place, drawn from what a real Prometheus answers.

It is not Grafana, which is not needed for it; titles, units, legends, thresholds and queries are the dashboard's own.
"""

import html
import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

DASHBOARD = Path(__file__).parents[1] / "config" / "grafana" / "dashboards" / "orderstream.json"
# What Grafana would put in for its variables.
VARIABLES = {"$instance": ".*", "$__rate_interval": "15s"}
STEP_S = 1
# Grafana's default colours, on white.
COLOURS = ("#56a64b", "#e0a500", "#3274d9", "#e0752d", "#c4162a", "#8f3bb8", "#37872d", "#1a8ca8", "#ad4fa8", "#6b5b00")
STAT_COLOURS = {"green": "#37872d", "red": "#c4162a", "orange": "#c15c17", "blue": "#1f60c4"}
COLUMN_PX, ROW_PX = 44, 24
STYLE = """
    body { margin: 0; background: #f4f5f5; font: 12px system-ui, sans-serif; color: #24292e; position: relative }
    section { position: absolute; box-sizing: border-box; display: flex; flex-direction: column; background: #fff;
        border: 1px solid #dcdfe3; border-radius: 3px; padding: 5px 8px; overflow: hidden }
    section.row { background: none; border: 0; justify-content: center; font-size: 15px; font-weight: 600 }
    h2 { margin: 0; font-size: 12px; font-weight: 600; white-space: nowrap }
    .stat { color: #fff; border: 0 } .stat h2 { font-size: 11px } .stat b { margin: auto; font-size: 26px }
    svg { flex: 1; min-height: 0; width: 100% } svg text { font-size: 10px; fill: #62676d }
    p { margin: 2px 0 0; line-height: 14px; font-size: 11px } p span { margin-right: 10px; white-space: nowrap }
    i { display: inline-block; width: 12px; height: 3px; margin-right: 4px; vertical-align: middle }
    .empty { color: #c4162a }
"""


class Span(NamedTuple):
    """What a picture shows, in seconds since 1970."""

    begin_s: float
    end_s: float


class Series(NamedTuple):
    """A line of a panel: its name in the legend, and (seconds since 1970, value) where there is a value."""

    name: str
    points: Sequence[tuple[float, float]]


def written(value: float, unit: str) -> str:
    """As Grafana writes a value of that unit, to three digits."""
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    if unit == "s":
        for bound, factor, name in ((1e-3, 1e6, "µs"), (1, 1e3, "ms"), (120, 1, "s")):
            if abs(value) < bound:
                return f"{value * factor:.3g} {name}" if value else "0 s"
        return f"{value / 60:.3g} min"
    if unit in {"bytes", "Bps"}:
        power = min(3, int(math.log(abs(value), 1024))) if abs(value) >= 1 else 0
        return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}{'/s' if unit == 'Bps' else ''}"
    plain = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return plain + (" c/s" if unit == "cps" else "")


def named(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """What the legend says of a series."""
    return re.sub(r"{{\s*(\w+)\s*}}", lambda label: labels.get(label[1], ""), target.get("legendFormat") or "")


def filled(expr: str) -> str:
    """With its variables put in."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr


async def answers(
    session: aiohttp.ClientSession, prometheus: str, panel: Mapping[str, Any], span: Span
) -> list[Series]:
    """What each of the panel's queries came to."""
    found = []
    for target in panel.get("targets", ()):
        asked = {"query": filled(target["expr"]), "start": span.begin_s, "end": span.end_s, "step": STEP_S}
        async with session.get(f"{prometheus}/api/v1/query_range", params=asked) as answer:
            told = await answer.json()
        if told["status"] != "success":
            raise RuntimeError(f"{panel['title']}: {told['error']}")
        for series in told["data"]["result"]:
            points = [(at, float(value)) for at, value in series["values"] if value not in {"NaN", "+Inf", "-Inf"}]
            if points:
                found.append(Series(named(target, series["metric"]), points))
    return found


def drawn(panel: Mapping[str, Any], found: Sequence[Series], span: Span) -> str:
    """The panel in HTML, in its place."""
    place, title = panel["gridPos"], html.escape(panel["title"])
    left, top = place["x"] * COLUMN_PX + 2, place["y"] * ROW_PX + 2
    style = f"left:{left}px;top:{top}px;width:{place['w'] * COLUMN_PX - 4}px;height:{place['h'] * ROW_PX - 4}px"
    if panel["type"] == "row":
        return f'<section class="row" style="{style}">{title}</section>'
    defaults = panel["fieldConfig"]["defaults"]
    if not found:
        return f'<section style="{style}"><h2>{title}</h2><p class="empty">no data</p></section>'
    if panel["type"] == "stat":
        value = found[0].points[-1][1]
        passed = [step["color"] for step in defaults["thresholds"]["steps"] if (step["value"] or -math.inf) <= value]
        shown = f"<b>{written(value, defaults['unit'])}</b>"
        colour = STAT_COLOURS[passed[-1]]
        return f'<section class="stat" style="{style};background:{colour}"><h2>{title}</h2>{shown}</section>'
    plot, legend = "".join(_plot(panel, found, span)), "".join(_legend(found))
    return f'<section style="{style}"><h2>{title}</h2>{plot}<p>{legend}</p></section>'


def _legend(found: Sequence[Series]) -> Iterator[str]:
    for at, series in enumerate(found):
        yield f'<span><i style="background:{COLOURS[at % len(COLOURS)]}"></i>{html.escape(series.name)}</span>'


def _plot(panel: Mapping[str, Any], found: Sequence[Series], span: Span) -> Iterator[str]:
    defaults = panel["fieldConfig"]["defaults"]
    logarithmic = defaults["custom"].get("scaleDistribution", {}).get("type") == "log"
    width, height, margin = panel["gridPos"]["w"] * COLUMN_PX - 22, panel["gridPos"]["h"] * ROW_PX - 60, 54
    values = [value for series in found for _, value in series.points if value > 0 or not logarithmic]
    high = max(values, default=1.0)
    ticks = logarithmic_scale(min(values, default=1.0), high) if logarithmic else scale(high, defaults["unit"])
    bottom, top = ticks[0], ticks[-1]

    def share(value: float) -> float:
        return math.log(max(value, bottom) / bottom) / math.log(top / bottom) if logarithmic else value / top

    def y(value: float) -> float:
        return 6 + (height - 12) * (1 - share(value))

    def x(at: float) -> float:
        return margin + (width - margin) * (at - span.begin_s) / (span.end_s - span.begin_s)

    yield f'<svg viewBox="0 0 {width} {height}">'
    for tick in ticks:
        yield f'<line x1="{margin}" x2="{width}" y1="{y(tick):.0f}" y2="{y(tick):.0f}" stroke="#e5e7ea"/>'
        label = html.escape(written(tick, defaults["unit"]))
        yield f'<text x="{margin - 5}" y="{y(tick) + 3:.0f}" text-anchor="end">{label}</text>'
    for number, series in enumerate(found):
        stroke = f'stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.3" stroke-linecap="square"'
        for run in runs(series.points):
            line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in run)
            yield f'<polyline fill="none" {stroke} points="{line}"/>'
    yield "</svg>"


def runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Those without a gap between them, for where there was no value there is no line."""
    found: list[list[tuple[float, float]]] = []
    for point in points:
        if not found or point[0] - found[-1][-1][0] > 1.5 * STEP_S:
            found.append([])
        found[-1].append(point)
    return found


def logarithmic_scale(low: float, high: float) -> list[float]:
    """Powers of ten, between which they are."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def scale(high: float, unit: str) -> list[float]:
    """From 0 to above `high`, at most five steps that are round where the unit is written in."""
    of = 1.0
    if unit == "s" and high >= 120:
        of = 60.0
    elif unit in {"bytes", "Bps"} and high >= 1:
        of = 1024.0 ** int(math.log(high, 1024))
    step = 10.0 ** math.floor(math.log10(high / of)) if high > 0 else 5.0
    step = next(step * factor for factor in (0.2, 0.5, 1, 2) if high / of <= 5 * step * factor)
    return [step * at * of for at in range(max(1, math.ceil(high / of / step)) + 1)]


async def page(prometheus: str, span_s: float) -> str:
    """The whole dashboard as it was in the last `span_s` seconds."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    span = Span(time.time() - span_s, time.time())
    async with aiohttp.ClientSession() as session:
        parts = [drawn(panel, await answers(session, prometheus, panel, span), span) for panel in panels]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW_PX
    return f"<!doctype html><style>{STYLE}</style><body style='height:{height}px'>{''.join(parts)}"
