"""docs/operations.md and k8s/README.md: their commands name what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from jobresults.cli.main import main
from tests.unit.deployment.rules.rule import Overlay, name_of

DOCUMENTS = ("docs/operations.md", "k8s/README.md")
KINDS = {
    "deployment": ("Deployment",),
    "deploy": ("Deployment",),
    "job": ("Job",),
    "hpa": ("HorizontalPodAutoscaler",),
    "scaledobject": ("ScaledObject",),
}


@pytest.fixture(params=DOCUMENTS)
def commands(root: Path, request: pytest.FixtureRequest) -> str:
    """All code blocks of a shell, as one script."""
    text = (root / request.param).read_text()
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S))


def test_the_shell_understands_them(commands: str) -> None:
    script = commands.replace("…", "x")
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert commands
    assert done.returncode == 0, done.stderr


def test_targets_commands_and_services_exist(
    commands: str, make_targets: set[str], compose: dict[str, Any], overlays: dict[str, Overlay]
) -> None:
    assert set(re.findall(r"\bmake ([a-z-]+)", commands)) <= make_targets
    assert set(re.findall(r"OVERLAY=(\w+)", commands)) <= set(overlays)
    for words in re.findall(r"jobresults ((?:api-key|alerts|user|migrate)[a-z -]*)", commands):
        _resolve(words.split())
    services = compose["services"]
    for line in re.findall(r"docker compose (.*)", commands):
        for name in re.findall(r"(?:exec(?: -T)?|run --rm) (\w+)", line):
            assert name in services, line
        for name in re.findall(r"--scale (\w+)=", line):
            assert name in services, line
        if line.startswith(("stop ", "restart ")) or "--no-deps" in line or "--force-re" in line:
            assert {w for w in line.split()[1:] if not w.startswith("-")} <= set(services), line


def _resolve(words: list[str]) -> None:
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group):
            return
        found = command.get_command(click.Context(command), word)
        assert found is not None, words
        command = found


def test_what_kubectl_is_told_of_is_deployed(commands: str, overlays: dict[str, Overlay]) -> None:
    for namespace, told in re.findall(r"kubectl -n jobresults-(\w+) (.*)", commands):
        overlay = overlays[namespace]
        for kind, name in re.findall(r"\b(deploy|deployment|job)/([a-z]+)", told):
            assert overlay.get(KINDS[kind][0], name), told
        for kind in re.findall(r"\b(hpa|scaledobject)\b", told):
            assert overlay.of(*KINDS[kind]), told
        for pod in re.findall(r"exec (\w+)-0 ", told):
            assert overlay.get("StatefulSet", pod), told
        assert re.findall(r"secret generic (\S+)", told) in ([], ["credentials"])
    assert set(re.findall(r"namespace (\S+)", commands)) <= {
        name_of(overlay.of("Namespace")[0]) for overlay in overlays.values()
    }


def test_each_secret_is_explained(root: Path, credentials: dict[str, str]) -> None:
    text = (root / "docs/operations.md").read_text()
    (table,) = re.findall(r"^\| file \| what.*?\n\n", text, re.M | re.S)
    cells = [row.split("|")[1] for row in table.strip().splitlines()[2:]]
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == {
        *credentials,
        "redis_users",
    }
