"""What Prometheus answers to the panels' expressions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from monitoring.dashboards.description import Board, Panel, Query

Points = list[tuple[float, float]]
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class Window:
    """The time shown, in seconds since 1970."""

    start: float
    end: float

    @property
    def step_seconds(self) -> float:
        """Between two points of a line."""
        return max(2.0, round((self.end - self.start) / 150))

    def filled(self, expr: str) -> str:
        """The expression as Grafana sends it, if everything is chosen in its menus."""
        span = f"{round(self.end - self.start)}s"
        expr = expr.replace("$__rate_interval", "20s").replace("$__range", span)
        return re.sub(r"\$[a-z]+", ".*", expr)


@dataclass
class Reading:
    """A panel's data: lines, one number for each query, or rows of a table."""

    lines: dict[str, Points] = field(default_factory=dict)
    numbers: list[float | None] = field(default_factory=list)
    rows: dict[tuple[str, ...], list[float | None]] = field(default_factory=dict)


class Prometheus:
    """Asks one server."""

    def __init__(self, url: str, window: Window) -> None:
        self._url, self._window = url, window

    def read(self, board: Board) -> list[Reading]:
        """The data of each panel of the rows that are open."""
        rows = (row for row in board.rows if not row.collapsed)
        return [self._panel(panel) for row in rows for panel in row.panels]

    def _panel(self, panel: Panel) -> Reading:
        reading = Reading()
        for at, query in enumerate(panel.queries):
            if panel.kind == "stat":
                found = self._instant(query)
                reading.numbers.append(found[0][1] if found else None)
            elif panel.kind == "table":
                for labels, value in self._instant(query):
                    key = tuple(labels.get(name, "") for name in panel.by)
                    reading.rows.setdefault(key, [None] * len(panel.queries))[at] = value
            else:
                reading.lines |= self._range(query)
        return reading

    def _instant(self, query: Query) -> list[tuple[Mapping[str, str], float]]:
        found = self._ask("query", query, time=self._window.end)
        values = [(dict(item["metric"]), float(item["value"][1])) for item in found]
        return [item for item in values if math.isfinite(item[1])]

    def _range(self, query: Query) -> dict[str, Points]:
        window = self._window
        found = self._ask(
            "query_range", query, start=window.start, end=window.end, step=window.step_seconds
        )
        return {_named(query.legend, item["metric"]): _finite(item["values"]) for item in found}

    def _ask(self, what: str, query: Query, **options: float) -> list[dict[str, Any]]:
        params: dict[str, str | float] = {"query": self._window.filled(query.scoped), **options}
        answer = requests.get(f"{self._url}/api/v1/{what}", params=params, timeout=30).json()
        if answer["status"] != "success":
            raise ValueError(f"{query.expr}: {answer['error']}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return _LABEL.sub(lambda found: labels.get(found[1], ""), legend)


def _finite(values: Sequence[tuple[float, str]]) -> Points:
    return [(float(at), float(text)) for at, text in values if math.isfinite(float(text))]
