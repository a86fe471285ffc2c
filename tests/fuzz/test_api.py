"""The API against its own document: no failure of the server, no status, type, header or member
that the document does not name; what it calls valid is accepted, what it calls invalid refused.

`make fuzz` does the same with more examples and a seed of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.services.process import unmeasured
from tests.services.stack import PROJECT, Shape, Stack
from tests.services.stacks import StartStack

LONG = "FUZZ_SEED" in os.environ
SEED = os.environ.get("FUZZ_SEED", "1")
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "100") if LONG else "3"
TIMEOUT_SECONDS = 3_600 if LONG else 400


@pytest.fixture(scope="module")
def shipped(start_stack: StartStack) -> Stack:
    """With the shipped task alone: those of the tests write files and kill their process."""
    settings = {
        "TASKS__MODULES": '["jobresults.tasks.score"]',
        "WEB__WAIT_CAP_SECONDS": "0.05",
        "WEBHOOKS__SOURCES": "[]",
    }
    return start_stack(Shape(settings=settings))


@pytest.mark.timeout(TIMEOUT_SECONDS + 20)
@pytest.mark.parametrize("caller", ["client", "nobody", *(["operator"] if LONG else [])])
def test_the_api_keeps_its_document(shipped: Stack, caller: str) -> None:
    keys = {"client": shipped.key, "operator": shipped.operator_key}
    options = ["--seed", SEED, "--max-examples", EXAMPLES]
    if caller in keys:
        options += ["--header", f"Authorization: Bearer {keys[caller]}"]
    if caller == "nobody" and not LONG:  # who is refused at the door needs no search
        options += ["--phases", "examples,fuzzing"]
    command = [sys.executable, "-m", "schemathesis.cli"]
    command += ["--config-file", "tests/fuzz/schemathesis.toml"]
    command += ["run", f"{shipped.url}/openapi.json", *options]
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=unmeasured(PYTHONPATH=str(PROJECT)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "No test cases were generated" not in done.stdout
    web = shipped.processes["web"].log(1_000_000)
    assert " ERROR " not in web, "an unforeseen error was logged"
