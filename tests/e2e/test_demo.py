"""The demo a newcomer runs first."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.up_process import is_alive
from tests.services.process import Process, eventually, unmeasured

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo makes its directory."""
    path = tmp_path / "temporary"
    path.mkdir()
    return path


def run_demo(examples: Path, temporary: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(examples / "demo.py")],
        env=unmeasured(TMPDIR=str(temporary)),
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_it_scores_every_sample_customer_and_leaves_nothing(temporary: Path) -> None:
    demo = run_demo(EXAMPLES, temporary)
    assert demo.returncode == 0, demo.stderr
    assert demo.stderr == ""
    samples = [file.stem for file in EXAMPLES.glob("*.json")]
    assert f"{len(samples)} customers scored in " in demo.stdout
    assert not [sample for sample in samples if sample not in demo.stdout]
    assert list(temporary.iterdir()) == []


def test_it_fails_with_the_reason_if_a_customer_is_refused(tmp_path: Path, temporary: Path) -> None:
    examples = Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))
    (examples / "wrong.json").write_text('{"messages": [{"sender": "AX-HDFCBK"}]}')
    demo = run_demo(examples, temporary)
    assert demo.returncode == 1
    assert "The demo failed: " in demo.stderr
    assert "messages[0].body: Field required" in demo.stderr
    assert list(temporary.iterdir()) == []


def test_told_to_stop_it_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    demo = Process(
        "demo",
        (sys.executable, EXAMPLES / "demo.py"),
        tmp_path,
        {**os.environ, "TMPDIR": str(temporary)},
    )
    top = psutil.Process(demo.pid)
    eventually(lambda: len(top.children(recursive=True)) >= 4, "the service is starting")
    below = top.children(recursive=True)
    assert demo.stop(signal.SIGTERM) == 143
    eventually(lambda: not any(map(is_alive, below)), "all processes are dead")
    assert list(temporary.iterdir()) == []
