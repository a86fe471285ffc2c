"""Prometheus' own judgement of expressions."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.services.prometheus_server import find_program


def check_expressions(expressions: Sequence[str], directory: Path) -> None:
    """Each must be one that can be recorded.

    Raises:
        AssertionError: Prometheus does not take one of them.
    """
    rules = [
        {"record": f"checked:expression:{number}", "expr": expr}
        for number, expr in enumerate(expressions)
    ]
    file = directory / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]}))
    done = subprocess.run(
        [find_program("promtool"), "check", "rules", file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
