"""The two plots of a report as SVG: durations on a logarithmic axis, rates over time. Colours are
classes, so that the page chooses them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 760, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 26, 30
_BUCKET = 2**0.25  # of Histogram.coarse
_STEPS = (1, 2, 5)


def durations(title: str, latency: Mapping[str, Any]) -> str:
    """How many took how long: bars by time, the percentiles as lines."""
    bars: Sequence[tuple[float, float, int]] = latency["histogram"]
    low, high = bars[0][0] / _BUCKET, max(bars[-1][1], latency["max"]) * _BUCKET
    most = max(count for _, _, count in bars)

    def x(ms: float) -> float:
        share = math.log(max(ms, low) / low) / math.log(high / low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    shapes = list(_grid(most))
    for ms in _decades(low, high):
        shapes.append(f'<path class="grid" d="M{x(ms):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        shapes.append(_text(x(ms), _HEIGHT - 12, said(ms), anchor="middle"))
    for start, end, count in bars:
        y = _y(count, _top(most))
        width = max(x(end) - x(start) - 1, 1)
        size = f'width="{width:.1f}" height="{_HEIGHT - _BOTTOM - y:.1f}"'
        tip = f"<title>{said(start)} – {said(end)}: {count:,}</title>"
        shapes.append(f'<rect class="bar" x="{x(start):.1f}" y="{y:.1f}" {size}>{tip}</rect>')
    for place, name in enumerate(("p50", "p95", "p99")):
        at = x(latency[name])
        y = _TOP + 6 + place * 13
        shapes.append(f'<path class="mark" d="M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        near_end = at > _WIDTH - 130
        label = _text(
            at + (-5 if near_end else 5),
            y + 4,
            f"{name} {said(latency[name])}",
            anchor="end" if near_end else "start",
            kind="strong",
        )
        shapes.append(label)
    return _svg(f"{title}: {latency['count']:,}", shapes)


def rates(title: str, lines: Mapping[str, Sequence[Sequence[float]]], total_seconds: float) -> str:
    """How many a second over the time of the run."""
    most = max((rate for line in lines.values() for _, rate in line), default=1.0) or 1.0
    span = max(total_seconds, 1.0)
    step = next((each for each in _nice(1.0) if span / each <= 8), span)

    def x(seconds: float) -> float:
        return _LEFT + seconds / span * (_WIDTH - _LEFT - _RIGHT)

    shapes = list(_grid(most))
    for number in range(int(span / step) + 1):
        at = x(number * step)
        shapes.append(_text(at, _HEIGHT - 12, f"{number * step:g} s", anchor="middle"))
    for place, (name, line) in enumerate(lines.items()):
        points = " ".join(f"{x(at):.1f},{_y(rate, _top(most)):.1f}" for at, rate in line)
        shapes.append(f'<polyline class="line{place}" points="{points}"/>')
        left = _WIDTH - _RIGHT - 90 * (len(lines) - place)
        shapes.append(f'<path class="line{place}" d="M{left} 12h14"/>')
        shapes.append(_text(left + 19, 16, name))
    return _svg(title, shapes)


def _grid(most: float) -> Iterator[str]:
    """Lines at round numbers up to the axis' end."""
    top = _top(most)
    for quarter in range(5):
        value = top * quarter / 4
        y = _y(value, top)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 7, y + 4, f"{value:,.4g}", anchor="end")


def _top(most: float) -> float:
    """A round number from there on, of which a quarter is round, too."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= most)


def _y(value: float, top: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - min(value, top) / top)


def _decades(low: float, high: float) -> Iterator[float]:
    """1, 10, 100 … between both; 2 and 5, too, where there is room."""
    steps = _STEPS if high / low < 2_000 else _STEPS[:1]
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        yield from (step * 10.0**power for step in steps if low <= step * 10.0**power <= high)


def _nice(first: float) -> Iterator[float]:
    while True:
        yield from (first * step for step in _STEPS)
        first *= 10


def said(ms: float) -> str:
    """A duration as people say it."""
    return f"{ms / 1000:.3g} s" if ms >= 1000 else f"{ms:.3g} ms"


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "faint") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def _svg(title: str, shapes: Sequence[str]) -> str:
    head = _text(0, 16, title, kind="strong")
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}"'
    return "\n".join([f"<svg {size}>", head, *shapes, "</svg>"])
