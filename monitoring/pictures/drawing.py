"""A dashboard as SVG, in the grid, units, colours and thresholds that Grafana uses."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from html import escape

from monitoring.dashboards.description import Board, Panel, Place, Row, placed
from monitoring.pictures.figures import said, ticks
from monitoring.pictures.readings import Points, Reading, Window

WIDTH, _UNIT, _GAP, _MARGIN, _HEAD, _ROW = 1200, 30, 8, 12, 58, 30
_COLORS = {
    "green": "#2da44e",
    "orange": "#e07b16",
    "red": "#cf222e",
    "dark-red": "#8c1620",
    "yellow": "#d4a72c",
    "blue": "#3274d9",
    "purple": "#8250df",
    "gray": "#8b949e",
}
_PALETTE = ("#3274d9", "#2da44e", "#e07b16", "#8250df", "#1b9aaa", "#bf3989", "#9a6700", "#57606a")
_TEXT, _FAINT, _GRID = "#24292f", "#57606a", "#e4e7eb"
_CHARACTER, _BOLD = 0.58, 0.66
"""Of the size of a font, how wide a character is on average."""
_LEGEND_LINE, _LEGEND_LINES, _AXIS = 15, 5, 18


def draw(board: Board, readings: Sequence[Reading], window: Window) -> str:
    """The picture of the rows that are open; of the others their headings."""
    shapes: list[str] = []
    left = iter(readings)
    y = float(_HEAD)
    for row in board.rows:
        shapes += _heading(row, y)
        y += _ROW
        if row.collapsed:
            continue
        bottom = y
        for panel, place in placed(row, 0):
            shapes += _panel(panel, place, y, next(left), window)
            bottom = max(bottom, y + (place.y + place.h) * _UNIT)
        y = bottom + 4
    return _svg(board, y + _MARGIN, shapes, window)


def _svg(board: Board, height: float, shapes: Sequence[str], window: Window) -> str:
    clock = (time.strftime("%H:%M:%S", time.gmtime(at)) for at in (window.start, window.end))
    when = f"{time.strftime('%Y-%m-%d', time.gmtime(window.end))}  {' – '.join(clock)} UTC"
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
    font = "font-family=\"'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif\""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
            f"<title>{escape(board.title)}</title>",
            '<rect width="100%" height="100%" fill="#f3f4f6"/>',
            _text(_MARGIN + 4, 26, board.title, size=18, weight=600),
            _text(_MARGIN + 4, 45, board.about, color=_FAINT),
            _text(WIDTH - _MARGIN - 4, 26, when, color=_FAINT, anchor="end"),
            *shapes,
            "</svg>\n",
        ]
    )


def _heading(row: Row, y: float) -> Iterator[str]:
    mark = "M0 0l7 5l-7 5z" if row.collapsed else "M0 1h10l-5 7z"
    yield f'<path d="{mark}" transform="translate({_MARGIN + 4} {y + 9:.0f})" fill="{_FAINT}"/>'
    yield _text(_MARGIN + 22, y + 19, row.title, size=14, weight=600)
    if row.collapsed:
        beside = _MARGIN + 34 + len(row.title) * 14 * _BOLD
        yield _text(beside, y + 19, f"({len(row.panels)} panels)", color=_FAINT)


def _panel(
    panel: Panel, place: Place, top: float, reading: Reading, window: Window
) -> Iterator[str]:
    column = (WIDTH - 2 * _MARGIN + _GAP) / 24
    x, y = _MARGIN + place.x * column, top + place.y * _UNIT
    width, height = place.w * column - _GAP, place.h * _UNIT - _GAP
    yield _rect(x, y, width, height, "#ffffff", 'stroke="#dfe3e8" rx="3"')
    inner = _Frame(x + 10, y + 26, width - 20, height - 34)
    shape = {"stat": _stat, "lines": _chart, "stack": _chart, "table": _table}[panel.kind]
    if panel.kind != "stat":
        yield _text(x + 10, y + 18, _cut(panel.title, width - 20, 12 * _BOLD), weight=600)
    yield from shape(panel, inner, reading, window)
    if panel.kind == "stat":
        size, color = 11.5, "#ffffff" if len(panel.steps) > 1 and _has(reading) else _FAINT
        lines = _wrapped(panel.title, width - 16, size)
        for number, line in enumerate(lines):
            at = y + 18 + number * 14
            yield _text(x + width / 2, at, line, size=size, color=color, anchor="middle")


class _Frame:
    """Where a panel's content goes."""

    def __init__(self, x: float, y: float, width: float, height: float) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height


def _has(reading: Reading) -> bool:
    return bool(reading.numbers) and reading.numbers[0] is not None


def _stat(panel: Panel, frame: _Frame, reading: Reading, _: Window) -> Iterator[str]:
    value = reading.numbers[0]
    text = "no data" if value is None else panel.words.get(value, "")  # type: ignore[call-overload]
    if value is not None and not text:
        text = said(value, panel.unit, panel.decimals)
    color = _FAINT if value is None else _TEXT
    if value is not None and len(panel.steps) > 1:
        name = [name for name, start in panel.steps if start is None or value >= start][-1]
        yield _rect(
            frame.x - 10, frame.y - 26, frame.width + 20, frame.height + 34, _COLORS[name], 'rx="3"'
        )
        color = "#ffffff"
    x, y = frame.x + frame.width / 2, frame.y + frame.height - 14
    yield _text(x, y, text, size=30, weight=600, color=color, anchor="middle")


def _chart(panel: Panel, frame: _Frame, reading: Reading, window: Window) -> Iterator[str]:
    named = {name: points for name, points in reading.lines.items() if points}
    ranked = sorted(named.items(), key=lambda item: -item[1][-1][1])
    lines = dict(ranked) if len(named) > _LEGEND_LINES else named
    shown = min(len(lines), _LEGEND_LINES)
    plot_height = frame.height - _AXIS - _LEGEND_LINE * (shown + 1) - 6
    area = _Frame(frame.x + 52, frame.y + 6, frame.width - 56, plot_height)
    if not lines:
        yield from _grid(panel, area, 1.0, window)
        middle = area.x + area.width / 2, area.y + area.height / 2
        yield _text(*middle, "nothing in this time", color=_FAINT, anchor="middle")
        return
    stacked = _stacked(lines) if panel.kind == "stack" else lines
    highest = max(value for points in stacked.values() for _, value in points)
    top = panel.max or ticks(max(highest * 1.05, _least(panel)), panel.unit)[-1]
    yield from _grid(panel, area, top, window)
    colors = {name: _color(panel, name, number) for number, name in enumerate(lines)}
    for name, points in reversed(stacked.items()):
        yield from _line(points, area, top, window, colors[name], filled=panel.kind == "stack")
    yield from _thresholds(panel, area, top)
    yield from _legend(panel, frame, list(lines.items())[:shown], colors, len(lines) - shown)


def _least(panel: Panel) -> float:
    """Up to where an axis goes at least: what is nearly 0 must look so."""
    least = {"s": 0.005, "short": 1.0, "none": 1.0, "percentunit": 0.002, "suffix:×": 1.0}
    return least.get(panel.unit, 0.1)


def _stacked(lines: dict[str, Points]) -> dict[str, Points]:
    """Each on top of those before it."""
    heights: dict[float, float] = {}
    stacked: dict[str, Points] = {}
    for name, points in lines.items():
        stacked[name] = []
        for at, value in points:
            heights[at] = heights.get(at, 0.0) + value
            stacked[name].append((at, heights[at]))
    return stacked


def _grid(panel: Panel, area: _Frame, top: float, window: Window) -> Iterator[str]:
    values = ticks(top, panel.unit)
    for value in values:
        y = area.y + area.height * (1 - value / values[-1])
        yield f'<path d="M{area.x:.1f} {y:.1f}h{area.width:.1f}" stroke="{_GRID}"/>'
        text = said(value, panel.unit).replace(" req/s", "").replace(" /s", "")
        yield _text(area.x - 6, y + 3.5, text, size=10, color=_FAINT, anchor="end")
    span = window.end - window.start
    step = next((size for size in (10, 30, 60, 120, 300) if span / size <= 5.5), 600)
    at = window.start - window.start % step + step
    while at < window.end - span * 0.02:
        x = area.x + area.width * (at - window.start) / span
        if x - area.x > 12:
            y = area.y + area.height
            yield f'<path d="M{x:.1f} {area.y:.1f}V{y:.1f}" stroke="{_GRID}"/>'
            clock = time.strftime("%H:%M:%S" if step < 60 else "%H:%M", time.gmtime(at))
            yield _text(x, y + 13, clock, size=10, color=_FAINT, anchor="middle")
        at += step


def _line(
    points: Points, area: _Frame, top: float, window: Window, color: str, *, filled: bool
) -> Iterator[str]:
    """With gaps where there was nothing."""
    span = window.end - window.start
    for part in _unbroken(points, 2.5 * window.step_seconds):
        place = [
            (
                area.x + area.width * (at - window.start) / span,
                area.y + area.height * (1 - min(value, top) / top),
            )
            for at, value in part
        ]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in place)
        bottom = area.y + area.height
        if filled:
            closed = f"{path}L{place[-1][0]:.1f} {bottom:.1f}L{place[0][0]:.1f} {bottom:.1f}z"
            yield f'<path d="{closed}" fill="#ffffff"/>'
            yield f'<path d="{closed}" fill="{color}" fill-opacity=".45"/>'
        style = f'stroke="{color}" stroke-width="1.4" stroke-linejoin="round"'
        yield f'<path d="{path}" fill="none" {style}/>'


def _unbroken(points: Points, gap: float) -> Iterator[Points]:
    part: Points = []
    for point in points:
        if part and point[0] - part[-1][0] > gap:
            yield part
            part = []
        part.append(point)
    yield part


def _thresholds(panel: Panel, area: _Frame, top: float) -> Iterator[str]:
    for name, value in (("orange", panel.warn), ("red", panel.page)):
        if value is not None and value <= top:
            y = area.y + area.height * (1 - value / top)
            style = f'stroke="{_COLORS[name]}" stroke-dasharray="5 4" stroke-opacity=".8"'
            yield f'<path d="M{area.x:.1f} {y:.1f}h{area.width:.1f}" {style}/>'


def _legend(
    panel: Panel,
    frame: _Frame,
    lines: Sequence[tuple[str, Points]],
    colors: dict[str, str],
    more: int,
) -> Iterator[str]:
    y = frame.y + frame.height - _LEGEND_LINE * len(lines) + 8
    right = frame.x + frame.width
    for offset, head in ((78, "last"), (2, "max")):
        yield _text(right - offset, y - 14, head, size=10, color=_FAINT, anchor="end")
    for number, (name, points) in enumerate(lines):
        at = y + number * _LEGEND_LINE
        yield _rect(frame.x + 2, at - 6, 12, 4, colors[name], 'rx="2"')
        name = f"{name}  (+ {more} more)" if more and number == len(lines) - 1 else name
        yield _text(frame.x + 20, at, _cut(name, frame.width - 180, 11 * _CHARACTER), size=11)
        values = [value for _, value in points]
        for offset, value in ((78, values[-1]), (2, max(values))):
            text = said(value, panel.unit, panel.decimals)
            yield _text(right - offset, at, text, size=11, anchor="end")


def _table(panel: Panel, frame: _Frame, reading: Reading, _: Window) -> Iterator[str]:
    names = [*panel.by, *(query.legend for query in panel.queries)]
    first = frame.width * (0.5 if len(panel.by) > 1 else 0.25)
    edges = [frame.x + first * at / len(panel.by) for at in range(len(panel.by))]
    rest = (frame.width - first) / len(panel.queries)
    edges += [frame.x + first + rest * (at + 1) - 8 for at in range(len(panel.queries))]
    if len(panel.by) > 1:
        edges[1] = frame.x + 70  # a method is short
    for at, name in enumerate(names):
        anchor = "start" if at < len(panel.by) else "end"
        yield _text(edges[at], frame.y + 14, name, size=11.5, weight=600, anchor=anchor)
    rows = sorted(reading.rows.items(), key=lambda row: -(row[1][0] or 0))
    for number, (labels, values) in enumerate(rows[: int((frame.height - 24) / 22)]):
        y = frame.y + 38 + number * 22
        yield f'<path d="M{frame.x:.1f} {y - 15:.1f}h{frame.width:.1f}" stroke="{_GRID}"/>'
        for at, label in enumerate(labels):
            yield _text(edges[at], y, label)
        for query, edge, value in zip(panel.queries, edges[len(labels) :], values, strict=True):
            decimals = panel.decimals if query.decimals is None else query.decimals
            unit = query.unit or panel.unit
            decimals = None if unit == "s" else decimals
            text = "–" if value is None else said(value, unit, decimals)
            yield _text(edge, y, text, anchor="end")


def _color(panel: Panel, name: str, number: int) -> str:
    for part, color in panel.colors.items():
        if re.search(part, name):
            return _COLORS[color]
    return _PALETTE[number % len(_PALETTE)]


def _cut(text: str, width: float, character: float) -> str:
    room = int(width / character)
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _wrapped(text: str, width: float, size: float) -> list[str]:
    if len(text) * size * _CHARACTER <= width:
        return [text]
    words, lines = text.split(), [""]
    for word in words:
        if lines[-1] and (len(lines[-1]) + len(word) + 1) * size * _CHARACTER > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}" {more}/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12,
    weight: int = 400,
    color: str = _TEXT,
    anchor: str = "start",
) -> str:
    style = f'font-size="{size:g}" fill="{color}"'
    style += f' text-anchor="{anchor}"' if anchor != "start" else ""
    style += f' font-weight="{weight}"' if weight != 400 else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
