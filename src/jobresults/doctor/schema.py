"""What a database says of its schema."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schema:
    """Its revision; None: it has none of ours."""

    revision: str | None
