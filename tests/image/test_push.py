"""deployment/push.sh against a real registry: what it says one gets there by that name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.image.containers import NEEDS_ENGINE, Engine, find_engine
from tests.services.process import Process, eventually
from tests.services.stack import PROJECT, reserved_port

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

IMAGE = os.environ.get("IMAGE", "jobresults:test")
NEEDS_REGISTRY = "needs a registry (Debian: docker-registry)"


def _need(found: str | None, words: str) -> str:
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)
    return str(found)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of an empty one."""
    program = _need(shutil.which("docker-registry"), NEEDS_REGISTRY)
    with reserved_port() as port:
        address = f"127.0.0.1:{port}"
        configuration = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
            "http": {"addr": address},
        }
        (tmp_path / "registry.yml").write_text(yaml.safe_dump(configuration))
        process = Process("registry", [program, "serve", "registry.yml"], tmp_path)
        try:
            eventually(lambda: "listening on" in process.log(), "the registry listens")
            yield address
        finally:
            process.stop()


def test_what_is_pushed_is_there_by_the_digest_it_says(registry: str, tmp_path: Path) -> None:
    engine = Engine(_need(find_engine(), NEEDS_ENGINE))
    plain = tmp_path / "registries.conf"
    plain.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    kept = PROJECT / "build/image"
    before = kept.read_text() if kept.exists() else None
    repository = f"{registry}/team/jobresults"
    try:
        done = subprocess.run(
            [PROJECT / "deployment/push.sh", IMAGE, repository],
            env={**os.environ, "CONTAINERS_REGISTRIES_CONF": str(plain)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert kept.read_text() == done.stdout
    finally:
        kept.write_text(before or "")
    said = re.fullmatch(rf"{re.escape(repository)}@(sha256:[0-9a-f]{{64}})\n", done.stdout)
    assert said is not None, done.stdout
    oci = "application/vnd.oci.image.manifest.v1+json"
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = requests.get(
        f"http://{registry}/v2/team/jobresults/manifests/{said[1]}",
        headers={"Accept": f"{oci}, {docker}"},
        timeout=10,
    ).json()
    image_id = engine.inspect(IMAGE)["Id"]
    assert manifest["config"]["digest"].removeprefix("sha256:") == image_id.removeprefix("sha256:")
    (tag,) = requests.get(f"http://{registry}/v2/team/jobresults/tags/list", timeout=10).json()[
        "tags"
    ]
    assert re.fullmatch(r"\S+-[0-9a-f]{12}", tag)


def test_without_a_repository_nothing_is_pushed() -> None:
    done = subprocess.run(
        [PROJECT / "deployment/push.sh", IMAGE, ""], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "REPOSITORY" in done.stderr
