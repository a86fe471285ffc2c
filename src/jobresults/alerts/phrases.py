"""How messages say a number, a time, a foreign text."""

from __future__ import annotations

from datetime import UTC, datetime

from jobresults.telemetry.control_characters import escape
from jobresults.telemetry.redaction import hide

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_LINE_CHARACTERS = 200


def moment(at_ms: int) -> str:
    """A time as it is for everyone."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """How long, in the largest unit that says it well."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(0, round(seconds))} s"


def times(count: int) -> str:
    """How often."""
    return f"{count:,}×"


def line(text: str, characters: int = _LINE_CHARACTERS) -> str:
    """A foreign text as one safe line."""
    return cut(escape(hide(text)[: characters + 1]), characters)  # escaping only lengthens


def cut(text: str, characters: int) -> str:
    """The beginning of a text that is too long."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def plural(count: int, noun: str) -> str:
    """A number of things."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
