"""Numbers as Grafana writes them, and round ones for axes."""

from __future__ import annotations

import math

_SECONDS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
_COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def said(value: float, unit: str, decimals: int | None = None) -> str:
    """The number with its unit."""
    if unit == "percentunit":
        return f"{_rounded(value * 100, decimals)} %"
    if unit == "s":
        return _scaled(value, _SECONDS, decimals)
    if unit == "bytes":
        return _scaled(value, _BYTES, decimals)
    if unit.startswith("suffix:"):
        return f"{_counted(value, decimals)}{unit.removeprefix('suffix:')}"
    return _counted(value, decimals) + (" req/s" if unit == "reqps" else "")


def ticks(top: float, unit: str, count: int = 4) -> list[float]:
    """Round values from 0 to at least `top`."""
    top = top or 1.0
    rough = top / count
    base = 1024.0 if unit == "bytes" else 10.0
    power = base ** math.floor(math.log(rough, base))
    factors = [2**at for at in range(11)] if unit == "bytes" else [1, 2, 2.5, 5, 10]
    step = next((factor * power for factor in factors if factor * power >= rough * 0.999), rough)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def _scaled(value: float, units: tuple[tuple[float, str], ...], decimals: int | None) -> str:
    size, name = next(
        (pair for pair in units if abs(value) >= pair[0]), (1, "s" if units is _SECONDS else "B")
    )
    return f"{_rounded(value / size, decimals)} {name}"


def _counted(value: float, decimals: int | None) -> str:
    for size, name in _COUNTS:
        if abs(value) >= size and decimals is None:
            return f"{_rounded(value / size, None)}{name}"
    return _rounded(value, decimals)


def _rounded(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 4)}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
