"""Prometheus' own judgement of expressions."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml


def check_expressions(expressions: Sequence[str], directory: Path) -> None:
    """Each must be one that can be recorded.

    Raises:
        AssertionError: Prometheus does not take one of them.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs promtool: apt-get install prometheus")
    rules = [
        {"record": f"checked:expression:{number}", "expr": expr}
        for number, expr in enumerate(expressions)
    ]
    file = directory / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
