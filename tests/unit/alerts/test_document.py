"""What docs/alerts.md says of settings, routes and commands is what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from jobresults.cli.alerts import alerts
from jobresults.settings import ALERT_LINK_FIELDS, AlertsSettings
from jobresults.web.app import ROUTES

DOCUMENT = (Path(__file__).parents[3] / "docs/alerts.md").read_text()
TABLE = DOCUMENT.partition("\n## Settings\n")[2].partition("\n## ")[0]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from keys(section, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_setting_is_described_and_no_other() -> None:
    described = set(re.findall(r"`([a-z_.]+)`", "".join(re.findall(r"^\| (.*?) \|", TABLE, re.M))))
    there = set(keys(AlertsSettings))
    assert {key for key in there - described if not key.startswith(("slack.", "email."))} == set()
    assert described - there == set()
    assert set(re.findall(r"`\{(\w+)\}`", TABLE)) == ALERT_LINK_FIELDS


def test_every_route_and_command_is_told() -> None:
    paths = {re.sub(r"<(\w+)>", r"{\1}", route.path) for route in ROUTES}
    ours = {path for path in paths if path.startswith(("/v1/alerts", "/v1/silence"))}
    assert set(re.findall(r"/v1/(?:alerts|silence)[\w/{}-]*", DOCUMENT)) == ours
    assert set(re.findall(r"^jobresults alerts (\w+)", DOCUMENT, re.M)) == alerts.commands.keys()
