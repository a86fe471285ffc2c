"""What a check has found, and what it looks at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from jobresults.settings import Settings


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line: what is so and, unless that is well, what to do."""

    level: Level
    name: str
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Subject:
    """An installation: its settings as far as they are right, what is wrong with them, and the
    clock to compare others with.
    """

    settings: Settings
    problems: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    config_file: Path | None = None
    clock: Callable[[], float] = time.time


Check = Callable[[Subject], Iterator[Finding]]


def ok(name: str, text: str) -> Finding:
    return Finding(Level.OK, name, text)


def warning(name: str, text: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, name, text, remedy)


def error(name: str, text: str, remedy: str) -> Finding:
    return Finding(Level.ERROR, name, text, remedy)
