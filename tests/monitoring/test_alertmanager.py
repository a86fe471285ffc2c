"""monitoring/alertmanager.yml: who is told what, and what is not told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import yaml

from tests.monitoring.shipped import ALERTS, MONITORING

CONFIGURATION = "alertmanager.yml"
NAMES = [alert["alert"] for alert in ALERTS]


def test_alertmanager_takes_the_configuration(accepted_by: Callable[..., str]) -> None:
    accepted_by("amtool", "check-config", CONFIGURATION)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=JobresultsNoWorkers", "severity=page"), "pages"),
        (("alertname=JobresultsQueueGrows", "severity=ticket"), "tickets"),
        (("alertname=JobresultsWatchdog", "severity=none"), "heartbeat"),
    ],
)
def test_an_alert_is_told_to_who_has_to_act(
    accepted_by: Callable[..., str], labels: tuple[str, ...], receiver: str
) -> None:
    arguments = ("config", "routes", "test", f"--config.file={CONFIGURATION}", *labels)
    assert accepted_by("amtool", *arguments).split() == [receiver]


def test_secrets_are_read_from_files() -> None:
    text = (MONITORING / CONFIGURATION).read_text()
    keys = re.findall(r"^\s*(\w*(?:password|api_url|token)\w*):", text, re.M)
    assert keys
    assert all(key.endswith("_file") for key in keys)


def test_what_suppresses_or_is_suppressed_exists() -> None:
    rules = yaml.safe_load((MONITORING / CONFIGURATION).read_text())["inhibit_rules"]
    for rule in rules:
        source, target = (_names(rule[side]) for side in ("source_matchers", "target_matchers"))
        assert source
        assert target
        assert not source & target
        assert "namespace" in rule["equal"]


def _names(matchers: list[str]) -> set[str]:
    """The alerts that are meant, each alternative being one at least."""
    pattern = next(m.split("=", 1)[1].strip('~"') for m in matchers if m.startswith("alertname"))
    for word in re.findall(r"[A-Za-z]+(?:\.\*)?", pattern.removeprefix("Jobresults")):
        assert any(re.search(word, name) for name in NAMES), word
    return {name for name in NAMES if re.fullmatch(pattern, name)}
