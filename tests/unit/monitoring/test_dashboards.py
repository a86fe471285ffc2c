"""The dashboards: valid, complete, and what their descriptions say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobresults.telemetry.metrics import CATALOGUE
from monitoring.dashboards.description import COLUMNS, DIRECTORY, boards
from monitoring.dashboards.grafana import document
from tests.support.promtool import check_expressions

ROOT = Path(__file__).parents[3]
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in DIRECTORY.glob("*.json")}
DECLARED = {declared.name: declared for declared in CATALOGUE}
# What Prometheus knows by itself, and what its client library tells of each process.
FOREIGN = {
    "ALERTS": {"alertname", "alertstate", "severity"},
    "up": {"job", "instance"},
    "process_cpu_seconds_total": set(),
    "process_max_fds": set(),
    "process_open_fds": set(),
    "process_resident_memory_bytes": set(),
    "process_start_time_seconds": set(),
}
# Which version, and which part of the processes reaches Redis: here the single values count.
NEITHER = {
    "jobresults_build_info",
    "jobresults_up_dependency",
    "jobresults_worker_heartbeat_timestamp_seconds",  # moments are not added
}
OF_TARGETS = {"namespace", "job", "instance"}
UNITS = {"short", "none", "s", "bytes", "percentunit", "reqps"}

_METRIC = re.compile(r"\b(?:jobresults_\w+|process_\w+|ALERTS|up)(?=[{\[\s)]|$)")
_AGGREGATED = re.compile(
    r"\b(sum|max|min|avg|count)(?: by \([^)]*\))? ?\((?:label_replace\(|rate\(|increase\()*$"
)
_SELECTOR = re.compile(r"\b(jobresults_\w+|process_\w+|ALERTS|up)\{([^}]*)\}")
_SAYS_BOTH = re.compile(r"\*\*Good:\*\* .+\.\n\n\*\*Otherwise:\*\* .+[.?] \[Runbook\]", re.DOTALL)
_VARIABLES = {"$__rate_interval": "5m", "$__range": "1h"}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that show something, those of collapsed rows too."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", ())


def expressions() -> Iterator[tuple[str, str]]:
    """Where each stands, and what Prometheus is asked."""
    for name, dashboard in DASHBOARDS.items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]
        for annotation in dashboard["annotations"]["list"]:
            yield f"{name}: {annotation['name']}", annotation["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
                assert found is not None
                yield f"{name}: {variable['name']}", f"count by ({found[2]}) ({found[1]})"


def family(series: str) -> str:
    """The metric a series belongs to."""
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if base in DECLARED and DECLARED[base].kind == "histogram" else series


def test_the_files_are_what_their_descriptions_say() -> None:
    written = {path.stem: path.read_text() for path in DIRECTORY.glob("*.json")}
    assert written == {name: document(board) for name, board in boards().items()}, "make dashboards"


def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    found = []
    for _, expr in expressions():
        for variable, value in _VARIABLES.items():
            expr = expr.replace(variable, value)
        found.append(expr)
    check_expressions(found, tmp_path)


def test_every_metric_of_the_catalogue_is_shown() -> None:
    shown = {
        family(name)
        for dashboard in DASHBOARDS.values()
        for panel in panels(dashboard)
        for target in panel["targets"]
        for name in _METRIC.findall(target["expr"])
    }
    assert set(DECLARED) - shown == set()


@pytest.mark.parametrize("name", ["alerts", "jobs", "overview", "web"])
def test_no_unknown_metric_or_label_is_named(name: str) -> None:
    for where, expr in expressions():
        if not where.startswith(f"{name}: "):
            continue
        named = {family(metric) for metric in _METRIC.findall(_unquoted(expr))}
        assert named <= DECLARED.keys() | FOREIGN.keys(), where
        for metric, matchers in _SELECTOR.findall(expr):
            labels = set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', matchers))
            assert labels <= _labels(family(metric)) | {"le"}, where
        grouped = {
            label
            for names in re.findall(r"\bby \(([^)]*)\)", expr)
            for label in names.replace(" ", "").split(",")
        }
        known = set().union(*(_labels(metric) for metric in named)) | {"le"}
        made = set(re.findall(r'label_replace\(.*?, "(\w+)"', expr))
        assert grouped <= known | made, where


def test_values_of_the_whole_service_are_never_added_up() -> None:
    """Each maintenance process exports the same, so the greatest holds; all else is of one process,
    so the sum does.
    """
    for where, expr in expressions():
        for found in _METRIC.finditer(expr):
            declared = DECLARED.get(family(found[0]))
            if declared is None or declared.name in NEITHER:
                continue
            around = _AGGREGATED.search(expr[: found.start()])
            assert around is not None, f"{where}: {found[0]} is not aggregated"
            of_the_whole = declared.processes == ("maintenance",) and (
                declared.kind == "gauge" or declared.name.startswith("jobresults_redis_")
            )
            wanted = {"count", "max" if of_the_whole else "sum"}  # a series more or less adds none
            assert around[1] in wanted, f"{where}: {found[0]}"


@pytest.mark.parametrize("name", ["alerts", "jobs", "overview", "web"])
def test_a_panel_says_what_is_good_and_what_to_do_when_not(name: str) -> None:
    for panel in panels(DASHBOARDS[name]):
        title = panel["title"]
        assert _SAYS_BOTH.match(panel["description"]), title
        (link,) = panel["links"]
        page = link["url"].removeprefix("${runbooks}/")
        assert (ROOT / "docs/runbooks" / page).is_file(), title
        assert f"(${{runbooks}}/{page})" in panel["description"], title
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in UNITS or unit.startswith("suffix:"), title


def test_panels_neither_overlap_nor_stand_out() -> None:
    for name, dashboard in DASHBOARDS.items():
        everything = [
            *dashboard["panels"],
            *(panel for row in dashboard["panels"] for panel in row.get("panels", ())),
        ]
        taken = Counter(
            (x, y)
            for panel in dashboard["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
        assert max(taken.values()) == 1, name
        assert all(x < COLUMNS for x, _ in taken), name
        assert len({panel["id"] for panel in everything}) == len(everything)


def test_variables_that_are_used_are_there_and_the_other_way_round() -> None:
    for name, dashboard in DASHBOARDS.items():
        there = {variable["name"] for variable in dashboard["templating"]["list"]}
        used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard)))
        assert used == there, name


def test_provisioning_names_the_data_source_the_dashboards_choose_from() -> None:
    provisioning = ROOT / "monitoring/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
    for dashboard in DASHBOARDS.values():
        assert dashboard["templating"]["list"][0]["query"] == source["type"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/jobresults.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] in (ROOT / "docs/dashboards.md").read_text()


def _labels(metric: str) -> set[str]:
    declared = DECLARED.get(metric)
    return OF_TARGETS | (set(declared.labels) if declared else FOREIGN[metric])


def _unquoted(expr: str) -> str:
    return re.sub(r'"[^"]*"', '""', expr)
