"""A described dashboard as Grafana reads it (schema 39: Grafana 10.4, 11 and newer)."""

from __future__ import annotations

import json
import re
from typing import Any

from monitoring.dashboards.description import (
    DIRECTORY,
    INSTALLATION,
    Board,
    Panel,
    Place,
    Query,
    placed,
)

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ALL = {"text": "All", "value": "$__all"}
_METRIC_WITH = {
    "queue": "jobresults_queue_jobs",
    "task": "jobresults_jobs_submitted_total",
    "route": "jobresults_http_requests_total",
}
_NEW_VERSION = Query(
    expr="count by (version) (jobresults_build_info)"
    " unless count by (version) (jobresults_build_info offset 3m)"
)
_PAGES = Query(expr='ALERTS{alertname=~"Jobresults.*", severity="page", alertstate="firing"}')


def runbooks_url() -> str:
    """Where the pages lie: the place the rules name."""
    text = (DIRECTORY.parent / "rules/absence.yml").read_text(encoding="utf-8")
    (url, *_) = re.findall(r"runbook_url: (.+)/[\w-]+\.md$", text, re.MULTILINE)
    return str(url)


def document(board: Board) -> str:
    """The text of the dashboard's `.json`."""
    return json.dumps(_board(board), indent=1, ensure_ascii=False) + "\n"


def _board(board: Board) -> dict[str, Any]:
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": ["jobresults"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": f"now-{board.span}", "to": "now"},
        "timezone": "utc",
        "links": [
            {
                "type": "dashboards",
                "title": "jobresults",
                "tags": ["jobresults"],
                "includeVars": True,
                "keepTime": True,
            },
            {
                "type": "link",
                "title": "Runbooks",
                "icon": "doc",
                "url": "${runbooks}/README.md",
                "targetBlank": True,
            },
        ],
        "annotations": {"list": _annotations()},
        "templating": {"list": [_datasource(), *_variables(board), _runbooks()]},
        "panels": _panels(board),
    }


def _annotations() -> list[dict[str, Any]]:
    common = {"datasource": _DATASOURCE, "enable": True, "step": "60s"}
    return [
        common
        | {
            "name": "Deploys",
            "iconColor": "blue",
            "expr": _NEW_VERSION.scoped,
            "titleFormat": "Version {{version}}",
        },
        common
        | {
            "name": "Pages",
            "iconColor": "red",
            "expr": _PAGES.scoped,
            "titleFormat": "{{alertname}}",
            "textFormat": "{{queue}} {{task}} {{sink}}",
        },
    ]


def _datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "refresh": 1,
    }


def _variables(board: Board) -> list[dict[str, Any]]:
    series = {INSTALLATION: "jobresults_build_info"}
    series |= {name: Query(expr=_METRIC_WITH[name]).scoped for name in board.variables}
    return [
        {
            "name": name,
            "label": "Installation" if name == INSTALLATION else name.capitalize(),
            "type": "query",
            "datasource": _DATASOURCE,
            "definition": (query := f"label_values({metric}, {name})"),
            "query": {"query": query, "qryType": 1, "refId": f"Variable-{name}"},
            "refresh": 2,
            "sort": 1,
            "includeAll": True,
            "allValue": ".*",
            # Values of several installations must not be mixed by `max by`.
            "multi": name != INSTALLATION,
            "current": _ALL if name == INSTALLATION else {key: [_ALL[key]] for key in _ALL},
        }
        for name, metric in series.items()
    ]


def _runbooks() -> dict[str, Any]:
    url = runbooks_url()
    value = {"text": url, "value": url}
    return {
        "name": "runbooks",
        "type": "constant",
        "hide": 2,
        "query": url,
        "current": value,
        "options": [value | {"selected": True}],
    }


def _panels(board: Board) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    number, y = 0, 0
    for row in board.rows:
        number += 1
        head = {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
        }
        inside = []
        for panel, place in placed(row, y + 1):
            number += 1
            inside.append(_panel(panel, place, number))
        panels.append(head | {"panels": inside if row.collapsed else []})
        panels += [] if row.collapsed else inside
        y = y + 1 if row.collapsed else max(_bottom(panel) for panel in inside)
    return panels


def _bottom(panel: dict[str, Any]) -> int:
    place: dict[str, int] = panel["gridPos"]
    return place["y"] + place["h"]


def _panel(panel: Panel, place: Place, number: int) -> dict[str, Any]:
    look = {"stat": _stat, "lines": _lines, "stack": _lines, "table": _table}[panel.kind]
    url = f"${{runbooks}}/{panel.runbook}.md"
    return {
        "id": number,
        "title": panel.title,
        "description": f"**Good:** {panel.good}\n\n**Otherwise:** {panel.bad} [Runbook]({url})",
        "datasource": _DATASOURCE,
        "gridPos": place.model_dump(),
        "links": [{"title": f"Runbook: {panel.runbook}", "url": url, "targetBlank": True}],
        "targets": [_target(panel, query, at) for at, query in enumerate(panel.queries)],
        **look(panel),
    }


def _target(panel: Panel, query: Query, at: int) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table")
    return {
        "refId": _reference(at),
        "datasource": _DATASOURCE,
        "editorMode": "code",
        "expr": query.scoped,
        "legendFormat": query.legend or "__auto",
        "instant": instant,
        "range": not instant,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _reference(at: int) -> str:
    return "ABCDEFGHIJ"[at]


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"color": color, "value": value} for color, value in panel.steps]
    words = {str(value): {"text": text, "index": value} for value, text in panel.words.items()}
    defaults = {
        "unit": panel.unit,
        "max": panel.max,
        "decimals": panel.decimals,
        "noValue": "no data",
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [{"type": "value", "options": words}] if words else [],
    }
    return {name: value for name, value in defaults.items() if value is not None}


def _stat(panel: Panel) -> dict[str, Any]:
    return {
        "type": "stat",
        "fieldConfig": {
            "defaults": _defaults(panel) | {"color": {"mode": "thresholds"}},
            "overrides": [],
        },
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background" if len(panel.steps) > 1 else "value",
            "graphMode": "none",
            "justifyMode": "center",
            "textMode": "auto",
        },
    }


def _lines(panel: Panel) -> dict[str, Any]:
    stacked = panel.kind == "stack"
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "axisSoftMin": 0,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
    }
    overrides = [
        {
            "matcher": {"id": "byRegexp", "options": f"/{part}/"},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for part, color in panel.colors.items()
    ]
    return {
        "type": "timeseries",
        "fieldConfig": {
            "defaults": _defaults(panel) | {"color": {"mode": "palette-classic"}, "custom": custom},
            "overrides": overrides,
        },
        "options": {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "calcs": ["lastNotNull", "max"],
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _table(panel: Panel) -> dict[str, Any]:
    """Each query is a column; rows are joined by their labels."""
    columns = {f"Value #{_reference(at)}": query for at, query in enumerate(panel.queries)}
    if len(panel.queries) == 1:
        columns = {"Value": panel.queries[0]}
    overrides = []
    for query in panel.queries:
        looks = {"unit": query.unit or panel.unit, "decimals": query.decimals}
        overrides.append(
            {
                "matcher": {"id": "byName", "options": query.legend},
                "properties": [
                    {"id": key, "value": value} for key, value in looks.items() if value is not None
                ],
            }
        )
    order = [*panel.by, *columns]
    return {
        "type": "table",
        "fieldConfig": {
            "defaults": _defaults(panel) | {"custom": {"filterable": True}},
            "overrides": overrides,
        },
        "options": {
            "showHeader": True,
            "sortBy": [{"displayName": panel.queries[0].legend, "desc": True}],
        },
        "transformations": [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": {name: at for at, name in enumerate(order)},
                    "renameByName": {name: query.legend for name, query in columns.items()},
                },
            },
        ],
    }
