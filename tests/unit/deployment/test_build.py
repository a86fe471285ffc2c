"""Jenkinsfile, .ci/run and .pre-commit-config.yaml: they call make, and only what it has."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

CalledTargets = Callable[[str], set[str]]


def test_jenkins_runs_targets_of_make_and_nothing_else(
    root: Path, called_targets: CalledTargets
) -> None:
    jenkinsfile = (root / "Jenkinsfile").read_text()
    steps = re.findall(r"\bsh '(.*)'$", jenkinsfile, re.M)
    assert steps
    assert all(re.fullmatch(r"make [a-z-]+", step) for step in steps)
    assert called_targets(jenkinsfile) >= {"install", "check", "test", "demo"}


def test_the_pipeline_has_its_sections_and_its_braces_match(root: Path) -> None:
    jenkinsfile = re.sub(r"//.*", "", (root / "Jenkinsfile").read_text())
    assert jenkinsfile.count("{") == jenkinsfile.count("}")
    assert re.findall(r"^  (\w+)", jenkinsfile, re.M) == [
        "agent",
        "options",
        "environment",
        "stages",
    ]
    for option in ("timeout(", "disableConcurrentBuilds(abortPrevious: true)", "timestamps()"):
        assert option in jenkinsfile


def test_the_report_jenkins_reads_is_the_one_the_tests_write(root: Path) -> None:
    jenkinsfile = (root / "Jenkinsfile").read_text()
    written = re.findall(r"--junitxml=(\S+?)'", jenkinsfile)
    assert re.findall(r"junit '(.*)'", jenkinsfile) == written


def test_the_build_machine_runs_checks_tests_faults_and_demo(
    root: Path, called_targets: CalledTargets
) -> None:
    script = (root / ".ci/run").read_text()
    assert called_targets(script) == {"install", "check", "test", "test-faults", "demo"}


def test_the_build_machine_stops_at_the_first_failure(root: Path) -> None:
    run = root / ".ci/run"
    assert os.access(run, os.X_OK)
    assert "set -euo pipefail" in run.read_text()
    subprocess.run(["bash", "-n", run], check=True)


def test_the_tests_the_build_machine_picks_exist(root: Path) -> None:
    chosen = re.findall(r"\btests/\w+", (root / ".ci/run").read_text())
    assert chosen
    assert all((root / directory).is_dir() for directory in chosen)


def test_a_commit_is_checked_by_what_is_installed(root: Path, make_targets: set[str]) -> None:
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        make, target = hook["entry"].split()
        assert make == "make"
        assert target in make_targets
        assert hook["language"] == "system"
