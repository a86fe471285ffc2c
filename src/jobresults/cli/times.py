"""Times and durations as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


class Duration(click.ParamType[Any, Any]):
    """Seconds, or a number with its unit: `90`, `1.5m`, `2h`, `1d`."""

    name = "DURATION"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The seconds it lasts."""
        seconds = _seconds(value)
        if seconds is None:
            self.fail(f"{value!r} is no duration like 90, 30s, 5m, 2h or 1d", param, ctx)
        return seconds


class Moment(click.ParamType[Any, Any]):
    """A date or a time of ISO 8601; without zone it is local."""

    name = "TIME"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The moment, with its zone."""
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time like 2026-01-31T12:00:00Z", param, ctx)


class Since(Moment):
    """A moment, or how long ago it was: `1h`, `2d`."""

    name = "TIME|AGO"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The moment, with its zone."""
        found = _DURATION.fullmatch(value)
        if found is None or not found[2]:  # digits alone may be meant as a year
            return super().convert(value, param, ctx)
        try:
            return datetime.now(UTC) - timedelta(seconds=_seconds(value) or 0)
        except OverflowError:
            self.fail(f"{value!r} is too long ago", param, ctx)


def span(seconds: float) -> str:
    """How long, in the digits that matter: `40 ms`, `0.4 s`, `12 s`, `5 min`, `3 h`, `2 days`."""
    if seconds < 0.0995:
        return f"{1_000 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def ago(text: str | None) -> str:
    """How long ago a time of the service (RFC 3339) was; `-` for never."""
    if text is None:
        return "-"
    return span(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()))


def between(start: str | None, end: str | None) -> float | None:
    """Seconds from one time of the service to another, if there are both."""
    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _seconds(text: str) -> float | None:
    found = _DURATION.fullmatch(text)
    return None if found is None else float(found[1]) * _UNIT_SECONDS[found[2]]
