"""`jobresults open`: the address is printed, and a browser sent there if there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.process import unmeasured

URL = "http://127.0.0.1:1"
JOB_ID = "01a2284b-b6e7-7115-ac93-7becc4677515"


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`webbrowser` looks for browsers once a process."""
    return subprocess.run(
        [sys.executable, "-m", "jobresults.cli.main", "--url", URL, "open", *arguments],
        env=unmeasured(PYTHONPATH=os.pathsep.join(sys.path), **environ),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def no_browser(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path), "BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}


def test_the_reference_is_opened_in_the_browser(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/seen\n')
    browser.chmod(0o755)
    done = run(BROWSER=f"{browser} %s")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{URL}/docs\n", "")
    assert (tmp_path / "seen").read_text() == f"{URL}/docs\n"


def test_without_a_browser_the_address_is_all(no_browser: dict[str, str]) -> None:
    done = run(**no_browser)
    assert (done.returncode, done.stdout) == (0, f"{URL}/docs\n")
    assert done.stderr == "There is no browser here.\n"


def test_a_job_has_a_page(no_browser: dict[str, str]) -> None:
    done = run(JOB_ID.upper(), **no_browser)
    assert (done.returncode, done.stdout) == (0, f"{URL}/jobs/{JOB_ID}\n")


def test_only_alerts_have_links_to_choose_from(no_browser: dict[str, str]) -> None:
    for subject in ((), (JOB_ID,)):
        done = run("--to", "logs", *subject, **no_browser)
        assert (done.returncode, done.stdout) == (2, "")
