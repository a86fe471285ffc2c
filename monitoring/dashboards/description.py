"""What a dashboard's `.yaml` says: rows of panels, each with what is good and what to do if not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

DIRECTORY = Path(__file__).parent
COLUMNS = 24
"""How wide a dashboard is, in Grafana's units."""
INSTALLATION = "namespace"
"""The label that tells one installation from another."""

_SIZES = {"stat": (4, 3), "lines": (8, 8), "stack": (8, 8), "table": (24, 9)}
_OURS = re.compile(r"\b(jobresults[_:][\w:]+|process_\w+|ALERTS|up(?=\{))(\{)?")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(_Part):
    """An expression and what its series are called; in a table it is a column."""

    expr: str
    legend: str = ""
    unit: str | None = None
    decimals: int | None = None

    @property
    def scoped(self) -> str:
        """The expression, of the chosen installation only."""
        return _OURS.sub(_with_scope, " ".join(self.expr.split()))


class Panel(_Part):
    """`warn` and `page` colour a value orange and red: from there up; from there down, if `page` is
    the lower one. Without `page` nothing is red.
    """

    title: str
    kind: Literal["stat", "lines", "stack", "table"] = "lines"
    width: Annotated[int, Field(ge=2, le=COLUMNS)] = 0
    height: int = 0
    queries: tuple[Query, ...]
    by: tuple[str, ...] = ()
    """Labels that are a table's first columns."""
    unit: str = "short"
    decimals: int | None = None
    max: float | None = None
    warn: float | None = None
    page: float | None = None
    colors: dict[str, str] = {}
    """Of series, by what their name contains."""
    words: dict[int, str] = {}
    """What is said instead of a number."""
    good: str
    bad: str
    runbook: str

    @model_validator(mode="before")
    @classmethod
    def _has_a_size_and_queries(cls, values: dict[str, object]) -> dict[str, object]:
        width, height = _SIZES[str(values.get("kind", "lines"))]
        values = {"width": width, "height": height} | values
        if "expr" in values:
            single = {"expr": values.pop("expr"), "legend": values.pop("legend", "")}
            values["queries"] = [single]
        return values

    @property
    def low_is_bad(self) -> bool:
        """Whether the threshold is a floor."""
        return None not in (self.warn, self.page) and self.page < self.warn  # type: ignore[operator]

    @property
    def steps(self) -> list[tuple[str, float | None]]:
        """Colours, each from a value on; None: from the lowest."""
        if self.low_is_bad:
            return [("red", None), ("orange", self.page), ("green", self.warn)]
        steps = [("green", None), ("orange", self.warn), ("red", self.page)]
        return [step for step in steps if step[0] == "green" or step[1] is not None]


class Row(_Part):
    """Panels below a heading; a collapsed one asks nothing of Prometheus until it is opened."""

    title: str
    collapsed: bool = False
    panels: tuple[Panel, ...]


class Board(_Part):
    """One dashboard."""

    uid: str
    title: str
    about: str
    variables: tuple[Literal["queue", "task", "route"], ...] = ()
    span: str = "6h"
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterator[Panel]:
        """All of them, as they are read."""
        for row in self.rows:
            yield from row.panels


class Place(_Part):
    """Where a panel stands, in Grafana's units."""

    x: int
    y: int
    w: int
    h: int


def boards() -> dict[str, Board]:
    """Every dashboard, by the name of its file."""
    return {
        path.stem: Board.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted(DIRECTORY.glob("*.yaml"))
    }


def placed(row: Row, top: int) -> Iterator[tuple[Panel, Place]]:
    """A row's panels from left to right, and on below when it is full."""
    x, y, tallest = 0, top, 0
    for panel in row.panels:
        if x + panel.width > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        yield panel, Place(x=x, y=y, w=panel.width, h=panel.height)
        x, tallest = x + panel.width, max(tallest, panel.height)


def _with_scope(found: re.Match[str]) -> str:
    scope = f'{INSTALLATION}=~"${INSTALLATION}"'
    return f"{found[1]}{{{scope}, " if found[2] else f"{found[1]}{{{scope}}}"
