"""Line charts as SVG, readable on light and on dark paper; as much as the reports need, which is little."""

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 40, 50
_COLOURS = ("#2f7de1", "#e0672f", "#2fa36b", "#a45ad6", "#c2a01e", "#d6456f", "#5aa9b8")

Points = Sequence[tuple[float, float]]


def line_chart(
    title: str, x_label: str, y_label: str, lines: Mapping[str, Points], *, log_x: bool = False, log_y: bool = False
) -> str:
    """An SVG document with a line for each entry, named beside it. Without `log_y`, the axis begins at 0."""
    lines = {name: points for name, points in lines.items() if points}
    xs = [x for points in lines.values() for x, _ in points] or [1.0]
    ys = [y for points in lines.values() for _, y in points] or [1.0]
    across = _Axis(min(xs) if log_x else 0.0, max(xs), _LEFT, _WIDTH - _RIGHT, is_log=log_x)
    up = _Axis(min(ys) if log_y else 0.0, max(ys), _HEIGHT - _BOTTOM, _TOP, is_log=log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 22, title, size=15, anchor="start"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, x_label),
        f'<text transform="translate(16 {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="#333">{escape(y_label)}</text>',
    ]
    for tick in across.ticks():
        at = across.at(tick)
        parts += [_rule(at, _TOP, at, _HEIGHT - _BOTTOM), _text(at, _HEIGHT - _BOTTOM + 16, _short(tick))]
    for tick in up.ticks():
        at = up.at(tick)
        parts += [
            _rule(_LEFT, at, _WIDTH - _RIGHT, at),
            _text(_LEFT - 6, at + 4, _short(tick), anchor="end"),
        ]
    ends = [up.at(points[-1][1]) for points in lines.values()]
    for (name, points), colour, label_at in zip(lines.items(), _cycle(len(lines)), _apart(ends), strict=True):
        drawn = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) <= 20:
            parts += [f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append(_text(_WIDTH - _RIGHT + 8, label_at + 4, name, anchor="start", colour=colour))
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    def __init__(self, low: float, high: float, start: float, end: float, *, is_log: bool) -> None:
        self._is_log = is_log
        self.low: float = 10.0 ** math.floor(math.log10(low)) if is_log else low
        if is_log:
            self.high: float = 10.0 ** math.ceil(math.log10(max(high, self.low * 10)))
        else:
            self.high = math.ceil(high / _step(high)) * _step(high) if high > 0 else 1.0
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        if self._is_log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        if self._is_log:
            decades = round(math.log10(self.high / self.low))
            return [self.low * 10**decade for decade in range(decades + 1)]
        step = _step(self.high)
        return [step * number for number in range(round(self.high / step) + 1)]


def _step(high: float) -> float:
    """1, 2 or 5 times a power of ten, so that four to ten of them are enough."""
    rough = max(high, 1e-9) / 5
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _apart(heights: Sequence[float]) -> list[float]:
    """The same, moved so that two lines of text do not lie on each other."""
    moved = list(heights)
    last = -math.inf
    for index in sorted(range(len(heights)), key=heights.__getitem__):
        moved[index] = last = max(heights[index], last + 14)
    return moved


def _cycle(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:g}"


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, *, size: int = 12, anchor: str = "middle", colour: str = "#333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
    )
