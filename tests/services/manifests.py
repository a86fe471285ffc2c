"""What kustomize makes of `k8s/`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.services.stack import PROJECT
from tests.unit.deployment.rules.rule import Overlay


@pytest.fixture(scope="session")
def kubectl() -> str:
    """A kubectl that knows today's kustomize: the one `make manifests` fetches, or the system's."""
    fetched = PROJECT / ".venv/lib/jobresults/kubectl"
    found = str(fetched) if fetched.exists() else shutil.which("kubectl")
    if found is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs kubectl: make manifests")
    return found


@pytest.fixture(scope="session")
def overlays(kubectl: str) -> dict[str, Overlay]:
    """What each overlay makes, as kustomize renders it."""
    return {
        folder.name: Overlay(folder.name, list(yaml.safe_load_all(_rendered(kubectl, folder))))
        for folder in sorted((PROJECT / "k8s/overlays").iterdir())
    }


def _rendered(kubectl: str, folder: Path) -> str:
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
