"""deployment/deploy.sh and what make has around it: the order of what is done to a cluster, and
what is done when that fails.

No cluster runs here: `kubectl` renders for real, and what it is told beside that is written down.
"""

from __future__ import annotations

import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from tests.unit.deployment.rules.rule import PROCESSES, Overlay, container_of

DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = f"registry.example.com:5000/team/jobresults@{DIGEST}"
RECORDER = """#!/bin/sh
case $1 in kustomize) exec {kubectl} "$@" ;; esac
echo "$*" >>{log}
case "$*" in *"{fails}"*) exit 1 ;; esac
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def _deploy(
    root: Path, kubectl: str, log: Path, image: str = IMAGE, fails: str = "nothing"
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    recorder = _recorder(kubectl, log, fails)
    done = subprocess.run(
        [root / "deployment/deploy.sh", "staging", image],
        env={**os.environ, "KUBECTL": recorder},
        capture_output=True,
        text=True,
    )
    return done, log.read_text().splitlines() if log.exists() else []


def _recorder(kubectl: str, log: Path, fails: str = "nothing") -> str:
    recorder = log.parent / "kubectl"
    recorder.write_text(RECORDER.format(kubectl=kubectl, log=log, fails=fails))
    recorder.chmod(0o755)
    return str(recorder)


def test_the_schema_comes_before_the_processes(root: Path, kubectl: str, log: Path) -> None:
    done, told = _deploy(root, kubectl, log)
    assert done.returncode == 0, done.stderr
    manifests = "build/staging/manifests.yaml"
    within = "--namespace jobresults-staging"
    assert told == [
        f"{within} delete job migrate --ignore-not-found",
        f"apply --filename {manifests} "
        "--selector app.kubernetes.io/component notin (web,worker,maintenance)",
        f"{within} wait job/migrate --for=condition=complete --timeout=10m",
        f"apply --filename {manifests}",
        *[f"{within} rollout status deployment/{name} --timeout=10m" for name in PROCESSES],
    ]
    overlay = Overlay("staging", list(yaml.safe_load_all((root / manifests).read_text())))
    processes = [*overlay.deployments, *overlay.of("Job")]
    assert {container_of(workload)["image"] for workload in processes} == {IMAGE}


@pytest.mark.parametrize("image", ["jobresults:1.0.0", "jobresults@sha256:12", ""])
def test_an_image_without_a_digest_is_not_deployed(
    root: Path, kubectl: str, log: Path, image: str
) -> None:
    done, told = _deploy(root, kubectl, log, image)
    assert (done.returncode, told) == (2, [])
    assert "digest" in done.stderr


def test_a_failed_migration_leaves_the_processes_alone(root: Path, kubectl: str, log: Path) -> None:
    done, told = _deploy(root, kubectl, log, fails="wait job/migrate")
    assert done.returncode == 1
    assert sum(line.startswith("apply") for line in told) == 1
    assert not any("rollout" in line for line in told)


def test_processes_that_do_not_get_ready_make_way_for_those_before(
    root: Path, kubectl: str, log: Path
) -> None:
    done, told = _deploy(root, kubectl, log, fails="rollout status deployment/worker")
    assert done.returncode == 1
    undone = [line.rsplit("/", 1)[1] for line in told if "rollout undo" in line]
    assert undone == list(PROCESSES)


def _make(root: Path, target: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", target, "OVERLAY=staging"],
        cwd=root,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )


def test_a_release_that_scores_no_customer_is_taken_back(
    root: Path, kubectl: str, log: Path
) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as knows_nothing:
        threading.Thread(target=knows_nothing.serve_forever, daemon=True).start()
        done = _make(
            root,
            "release",
            KUBECTL=_recorder(kubectl, log),
            IMAGE=IMAGE,
            JOBRESULTS_TOKEN="jr_x",
            JOBRESULTS_URL=f"http://127.0.0.1:{knows_nothing.server_port}",
        )
        knows_nothing.shutdown()
    assert done.returncode != 0
    within = "--namespace jobresults-staging rollout"
    assert log.read_text().splitlines()[-6:] == [
        *[f"{within} undo deployment/{name}" for name in PROCESSES],
        *[f"{within} status deployment/{name} --timeout=10m" for name in PROCESSES],
    ]
    assert f"image: {IMAGE}" in (root / "build/staging/manifests.yaml").read_text()


def test_without_a_name_what_was_pushed_last_is_deployed(
    root: Path, kubectl: str, log: Path
) -> None:
    pushed = root / "build/image"
    before = pushed.read_text() if pushed.exists() else None
    pushed.parent.mkdir(exist_ok=True)
    pushed.write_text(f"{IMAGE}\n")
    try:
        # As Jenkins runs it, its parameter left empty.
        done = _make(root, "deploy", KUBECTL=_recorder(kubectl, log), IMAGE="")
    finally:
        pushed.unlink() if before is None else pushed.write_text(before)
    assert done.returncode == 0, done.stderr
    assert f"image: {IMAGE}" in (root / "build/staging/manifests.yaml").read_text()
