"""The pages about what alerts tell, as they ship with the service."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_IN_SOURCES = Path(__file__).parents[3] / "docs/runbooks"
_SUFFIX = ".md"


@cache
def names() -> frozenset[str]:
    """What there are pages about."""
    files_there = (file.name for file in _place().iterdir())
    return frozenset(name.removesuffix(_SUFFIX) for name in files_there if name.endswith(_SUFFIX))


def text(name: str) -> str:
    """A page, in Markdown. It must be one of `names`."""
    return (_place() / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def _place() -> Traversable:
    """In the wheel they lie in the package; who runs the sources has them among the documents."""
    packaged = files("jobresults") / "runbooks"
    return packaged if packaged.is_dir() else _IN_SOURCES
