"""Two kinds of picture as SVG, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _BAR, _GAP, _LEFT, _TOP = 760, 18, 8, 250, 46
_OURS, _OTHERS, _TEXT = "#1f6feb", "#8b949e", "#57606a"
_COLORS = ("#1f6feb", "#d29922", "#2da44e", "#cf222e", "#8250df", "#57606a")


def bars(title: str, values: Mapping[str, float], *, ours: str, unit: str) -> str:
    """Horizontal bars on a linear scale, longest first; names that start with `ours` stand out."""
    rows = sorted(values.items(), key=lambda row: -row[1])
    longest = max(values.values())
    room = _WIDTH - _LEFT - 110
    shapes = [_text(12, 24, title, size=15, color="#24292f")]
    for number, (name, value) in enumerate(rows):
        y = _TOP + number * (_BAR + _GAP)
        color = _OURS if name.startswith(ours) else _OTHERS
        width = max(1.0, value / longest * room)
        shapes += [
            _text(_LEFT - 8, y + 13, name, anchor="end"),
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{color}"/>',
            _text(_LEFT + width + 6, y + 13, f"{value:,.0f} {unit}"),
        ]
    return _svg(_TOP + len(rows) * (_BAR + _GAP) + 10, title, shapes)


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], *, x_name: str) -> str:
    """One line for each series of (x, ratio); x on a logarithmic scale, ratios from 0."""
    points = [point for each in series.values() for point in each]
    low, high = (math.log10(pick(x for x, _ in points)) for pick in (min, max))
    top = max(1.5, math.ceil(max(y for _, y in points) * 2) / 2)
    left, right, height = 60, _WIDTH - 230, 260

    def at(x: float, y: float) -> tuple[float, float]:
        share = (math.log10(x) - low) / ((high - low) or 1)
        return left + share * (right - left), _TOP + height * (1 - y / top)

    shapes = [_text(12, 24, title, size=15, color="#24292f")]
    grid = 0.5 * max(1, math.ceil(top / 4))
    for step in range(int(top / grid) + 1):
        y = at(10**low, step * grid)[1]
        shapes.append(
            f'<path d="M{left} {y:.1f}H{right}" stroke="#d0d7de" stroke-dasharray="3 3"/>'
        )
        shapes.append(_text(left - 8, y + 4, f"{step * grid:g}×", anchor="end"))
    for x in sorted({x for x, _ in points}):
        shapes.append(_text(at(x, 0)[0], _TOP + height + 20, f"{x:,.0f}", anchor="middle"))
    shapes.append(_text((left + right) / 2, _TOP + height + 40, x_name, anchor="middle"))
    for number, (name, found) in enumerate(series.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in found)
        shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.5"/>'
        )
        shapes.append(_text(right + 16, _TOP + 14 + number * 22, name, color=color))
    return _svg(_TOP + height + 54, title, shapes)


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", color: str = _TEXT
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f'<text {place} fill="{color}">{escape(text)}</text>'


def _svg(height: float, title: str, shapes: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'width="{_WIDTH}" height="{height:.0f}" font-family="Helvetica, Arial, sans-serif">'
    )
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", background, *shapes, "</svg>", ""])
