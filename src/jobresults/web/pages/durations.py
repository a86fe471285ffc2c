"""How long something took, and when it was, as pages say it."""

from __future__ import annotations

from datetime import UTC, datetime

# What is said in two units, from the largest on.
_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def span(milliseconds: int) -> str:
    """In the digits that matter: `40 ms`, `0.4 s`, `12 s`, `5 min 3 s`, `3 h 20 min`, `2 d 4 h`."""
    seconds = max(0, milliseconds) / 1000
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    size, unit, smaller, smaller_unit = next(row for row in _UNITS if seconds >= row[0] * 0.99)
    many, rest = divmod(round(seconds / smaller), size // smaller)
    return f"{many} {unit} {rest} {smaller_unit}" if rest else f"{many} {unit}"


def moment(at_ms: int) -> str:
    """To the second, in UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(at_ms: int) -> str:
    """The time of day in UTC, to the millisecond."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
