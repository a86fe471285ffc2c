"""How long the command line takes to start, beside Python and click alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import Machine

PYTHON, CLICK = "python -c pass", "python -c 'import click'"
HELP, SUBMIT_HELP = "jobresults --help", "jobresults submit --help"
_ROUNDS = 31


def measure(machine: Machine) -> dict[str, Any]:
    """Milliseconds from start to exit, all in turn, round by round."""
    program = str(Path(sys.executable).parent / "jobresults")
    commands = {
        PYTHON: [sys.executable, "-c", "pass"],
        CLICK: [sys.executable, "-c", "import click"],
        HELP: [program, "--help"],
        SUBMIT_HELP: [program, "submit", "--help"],
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(machine.pick(_ROUNDS, 7)):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=machine.environ, stdout=subprocess.DEVNULL, check=True)
            found[name].append((time.perf_counter() - start) * 1000)
    for name, values in found.items():
        print(f"  {name}: {median(values):.0f} ms", flush=True)
    return {"milliseconds": found}
