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
    assert len(steps) == len(re.findall(r"\bsh\b", jenkinsfile))
    assert all(re.fullmatch(r"make [a-z-]+( OVERLAY=[a-z]+)?", step) for step in steps)
    assert called_targets(jenkinsfile) == {
        *("install", "check", "test", "demo", "manifests", "release"),
        *("image", "image-test", "image-reproducible", "image-push", "compose-test"),
    }
    overlays = {folder.name for folder in (root / "k8s/overlays").iterdir()}
    assert set(re.findall(r"OVERLAY=(\w+)", jenkinsfile)) == overlays


def test_production_comes_after_staging_and_a_persons_leave(root: Path) -> None:
    stages = _stages(root)
    assert list(stages) == [
        *("install", "verify", "demo", "manifests", "image", "digest"),
        *("staging", "approval", "production"),
    ]
    assert "input {" in stages["approval"]
    for name in ("staging", "production"):
        assert f"make release OVERLAY={name}" in stages[name]
        assert f"credentialsId: 'jobresults-{name}-key'" in stages[name]
    conditions = {re.findall(r"expression { (.*) }", stages[name])[0] for name in list(stages)[-3:]}
    assert conditions == {"params.REPOSITORY || params.IMAGE"}


def test_the_image_is_tried_before_it_is_pushed_and_deployed_by_its_digest(root: Path) -> None:
    stages = _stages(root)
    image = stages["image"]
    steps = re.findall(r"sh 'make (.*)'", image)
    assert steps[0] == "image"
    assert steps[-1] == "image-push"
    (recorded,) = re.findall(r"archiveArtifacts artifacts: '(.*)', fingerprint: true", image)
    (stashed,) = re.findall(r"stash name: 'digest', includes: '(.*)'", image)
    assert recorded == stashed == "build/image"
    assert f"| tee {recorded}" in (root / "deployment/push.sh").read_text()
    assert f"cat {recorded}" in (root / "Makefile").read_text()
    assert "unstash 'digest'" in stages["digest"]


def _stages(root: Path) -> dict[str, str]:
    """The outermost ones, in their order."""
    jenkinsfile = (root / "Jenkinsfile").read_text().rpartition("\n  post {")[0]
    _, *parts = re.split(r"^    stage\('(.*)'\)", jenkinsfile, flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_whoever_broke_and_mended_it_is_told(root: Path) -> None:
    post = (root / "Jenkinsfile").read_text().rpartition("\n  post {")[2]
    assert re.findall(r"^    (\w+) \{\n      slackSend\(", post, re.M) == ["failure", "fixed"]


def test_the_agent_is_a_confined_pod(root: Path) -> None:
    jenkinsfile = (root / "Jenkinsfile").read_text()
    (file,) = re.findall(r"yamlFile '(.*)'", jenkinsfile)
    pod = yaml.safe_load((root / file).read_text())["spec"]
    (name,) = re.findall(r"defaultContainer '(.*)'", jenkinsfile)
    assert [container["name"] for container in pod["containers"]] == [name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_pipeline_has_its_sections_and_its_braces_match(root: Path) -> None:
    jenkinsfile = re.sub(r"//.*", "", (root / "Jenkinsfile").read_text())
    assert jenkinsfile.count("{") == jenkinsfile.count("}")
    assert re.findall(r"^  (\w+)", jenkinsfile, re.M) == [
        "agent",
        "parameters",
        "options",
        "environment",
        "stages",
        "post",
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
    assert called_targets(script) == {
        *("install", "check", "manifests", "test", "test-faults", "rehearsal", "demo")
    }


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
