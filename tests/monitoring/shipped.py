"""What is shipped in monitoring/, as data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from monitoring.prometheus_rule import RULES

MONITORING = Path(__file__).parents[2] / "monitoring"
Rule = dict[str, Any]


def rules() -> Iterator[Rule]:
    """Every rule, in the order of the files."""
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


ALERTS = [rule for rule in rules() if "alert" in rule]
