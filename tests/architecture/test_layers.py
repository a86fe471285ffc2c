"""The layers hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_the_import_contracts_are_kept() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [str(tool), "--no-cache", "--no-logo"], cwd=PROJECT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout
    assert ", 0 broken" in run.stdout
