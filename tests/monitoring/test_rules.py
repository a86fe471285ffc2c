"""monitoring/rules: what Prometheus says to them, and that every alert is proven and explained."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from jobresults.telemetry import metrics
from monitoring.prometheus_rule import KUBERNETES, RULES, TESTS, prometheus_rule
from tests.monitoring.shipped import ALERTS, rules

# The one alert that fires for ever.
ALWAYS = "JobresultsWatchdog"
CONFIGURATIONS = ("prometheus-compose.yml", "prometheus.yml")
OBJECTIVES = (
    ("http", "HttpErrors", 0.001),
    ("latency", "HttpLatency", 0.01),
    ("jobs", "JobFailures", 0.005),
    ("wait", "JobWait", 0.01),
)
WINDOWS = (
    ("14.4 * ", "Page", "1h", "5m"),
    ("6 * ", "SlowPage", "6h", "30m"),
    ("", "Ticket", "3d", "6h"),
)

# A metric of ours in an expression, and the labels it is chosen by.
_SELECTOR = re.compile(r"\b(jobresults_\w+?)(?:_bucket|_count|_sum)?\b(?:\{([^}]*)\})?(?![\w])")
_MATCHER = re.compile(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"')
_GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_OF_PROMETHEUS = {"namespace", "job", "instance", "le"}
_VALUES = {
    "outcome": metrics.OUTCOMES,
    "state": metrics.QUEUE_STATES,
    "dependency": metrics.DEPENDENCIES,
    "held": ("true", "false"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_prometheus_takes_the_configuration(accepted_by: Callable[..., str], name: str) -> None:
    accepted_by("promtool", "check", "config", name)


def test_prometheus_takes_the_rules(accepted_by: Callable[..., str]) -> None:
    accepted_by("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_when_they_have_to_and_only_then(
    accepted_by: Callable[..., str], file: Path
) -> None:
    accepted_by("promtool", "test", "rules", file)


def test_every_alert_is_tested_firing_and_not_firing() -> None:
    cases = [
        case
        for file in TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    names = {alert["alert"] for alert in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    quiet = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert quiet == names - {ALWAYS}


def test_there_is_one_rule_for_each_alert() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_urgent_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    name, notes = alert["alert"], alert["annotations"]
    assert alert["labels"] == {
        "severity": "none" if name == ALWAYS else alert["labels"]["severity"]
    }
    assert alert["labels"]["severity"] in ("page", "ticket", "none")
    assert notes.keys() == {"summary", "description", "runbook_url"}
    words = re.findall(r"[A-Z][a-z]+", name.removeprefix("Jobresults"))
    assert PurePosixPath(notes["runbook_url"]).name == f"{'-'.join(words).lower()}.md"


def test_objectives_are_watched_over_the_windows_that_the_document_tells() -> None:
    alerts = {alert["alert"]: alert["expr"] for alert in ALERTS}
    for (slo, name, budget), (speed, urgency, long, short) in product(OBJECTIVES, WINDOWS):
        limit = f'{{slo="{slo}"}} > {speed}{budget}'
        assert alerts[f"Jobresults{name}{urgency}"] == (
            f"jobresults:slo_failures:ratio{long}{limit}"
            f" and jobresults:slo_failures:ratio{short}{limit}"
            f' and jobresults:slo_failures:increase{long}{{slo="{slo}"}} >= 10'
        )


def test_all_runbooks_are_in_one_place() -> None:
    places = {alert["annotations"]["runbook_url"].rpartition("/")[0] for alert in ALERTS}
    assert len(places) == 1


def test_rules_look_at_metrics_that_there_are() -> None:
    catalogue = {declared.name: declared for declared in metrics.CATALOGUE}
    known = {label for declared in metrics.CATALOGUE for label in declared.labels} | _OF_PROMETHEUS
    seen = set()
    for rule in rules():
        for name, matchers in _SELECTOR.findall(rule["expr"]):
            labels = dict(_MATCHER.findall(matchers))
            assert labels.keys() <= {*catalogue[name].labels, "le"}, rule
            if "le" in labels:
                assert float(labels["le"]) in catalogue[name].buckets
            for label in labels.keys() & _VALUES.keys():
                assert set(labels[label].split("|")) <= set(_VALUES[label]), rule
            seen.add(name)
        for labels in _GROUPED.findall(rule["expr"]):
            assert set(labels.split(", ")) <= known, rule
    assert len(seen) >= 20


def test_kubernetes_gets_the_same_rules() -> None:
    text = KUBERNETES.read_text()
    assert text == prometheus_rule(), "make rules"
    groups = [g for file in RULES for g in yaml.safe_load(file.read_text())["groups"]]
    assert yaml.safe_load(text)["spec"] == {"groups": groups}
    component = yaml.safe_load((KUBERNETES.parent / "kustomization.yaml").read_text())
    assert KUBERNETES.name in component["resources"]
