"""The same source gives the same image, wherever, whenever and under whatever umask it was checked
out: whoever doubts what an image was built of builds it. `make image-reproducible` runs this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.image.containers import Engine, find_engine
from tests.image.copies import copy_project

pytestmark = [pytest.mark.image, pytest.mark.timeout(540)]

NEEDS_BUILDAH = "needs buildah and podman, and no docker: its builder keeps the times of files"
_LONG_AGO = 1_000_000_000


@pytest.fixture(scope="module")
def podman() -> Engine:
    program = find_engine()
    if program is None or Path(program).name != "podman" or not shutil.which("buildah"):
        pytest.skip(NEEDS_BUILDAH)
    return Engine(program)


def _built(podman: Engine, checkout: Path, name: str) -> dict[str, Any]:
    made = subprocess.run(
        ["make", "image", f"IMAGE={name}", "IMAGE_OPTIONS=--no-cache"],
        cwd=checkout,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    image: dict[str, Any] = podman.inspect(name)
    return image


def test_the_same_source_gives_the_same_image(podman: Engine, tmp_path: Path) -> None:
    checkouts = [tmp_path / "a", tmp_path / "another/checkout"]
    names = [f"localhost/jobresults-again-{number}:test" for number in range(len(checkouts))]
    for checkout in checkouts:
        copy_project(checkout)
    for path in checkouts[1].rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (_LONG_AGO, _LONG_AGO), follow_symlinks=False)
    try:
        one, other = (
            _built(podman, checkout, name) for checkout, name in zip(checkouts, names, strict=True)
        )
        assert one["RootFS"]["Layers"] == other["RootFS"]["Layers"]
        assert one["History"] == other["History"]
        assert one["Config"] == other["Config"]
        assert one["Id"] == other["Id"]
        # As useradd writes down the day otherwise.
        users = podman("run", "--rm", "--user", "0", "--entrypoint", "cat", names[0], "/etc/shadow")
        assert "\njobresults:!::" in f"\n{users}"
    finally:
        podman.attempt("image", "rm", "--force", *names)
