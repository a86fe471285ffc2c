"""Picking values from a webhook's payload: `repository.full_name`, `commits[0].id`, `$` for all of
it, `=text` for a text that always is the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"(?:^|\.)([A-Za-z0-9_-]+)|\[(\d{1,6})\]")
ABSENT = object()


@dataclass(frozen=True)
class Path:
    """Where a value stands, or the text itself."""

    steps: tuple[str | int, ...] = ()
    literal: str | None = None

    def pick(self, payload: Any) -> Any:
        """The value; `ABSENT` if the payload has none there."""
        if self.literal is not None:
            return self.literal
        value: Any = payload
        for step in self.steps:
            # No character of a text, no number as a key.
            if isinstance(value, list) is not isinstance(step, int):
                return ABSENT
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return ABSENT
        return value


def parse_path(text: str) -> Path:
    """The path a text means.

    Raises:
        ValueError: it is none.
    """
    if text.startswith("="):
        return Path(literal=text[1:])
    if text == "$":
        return Path()
    steps: list[str | int] = []
    place = 0
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None or (found[1] is not None and found[0][0] == "." and not steps):
            break
        steps.append(found[1] if found[1] is not None else int(found[2]))
        place = found.end()
    if place < len(text) or not steps:
        raise ValueError(
            f"{text!r} is not a path like repository.full_name, commits[0].id, $ or =text"
        )
    return Path(tuple(steps))
