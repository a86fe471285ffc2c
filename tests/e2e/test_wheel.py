"""What is built is installed where only its declared dependencies are, and calls the service."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.services.process import unmeasured
from tests.services.stack import Stack

ROOT = Path(__file__).parents[2]
CALLS = """
import sys
from jobresults import Client
with Client() as client:
    assert client.submit("echo", {"value": [1]}).result(60) == [1]
    assert list(client.map("echo", [{"value": 1}, {"value": 2}])) == [1, 2]
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"click", "rich", "flask"}))
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, built by its own backend."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, env=unmeasured(), capture_output=True, check=True)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path: Path, stack: Stack) -> Run:
    """Runs a program of an environment that has the wheel, what it needs with the extras asked
    for, and nothing else.
    """
    directory = tmp_path / "venv"
    venv.create(directory, symlinks=True)
    programs = directory / "bin"
    install = ["--python", str(programs / "python"), "install", "--no-index", "--no-deps", "-qq"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, *install, str(wheel)], env=unmeasured(), check=True)
    (packages,) = directory.glob("lib/*/site-packages")
    needs = _needs(packages / f"{wheel.name.partition('-py3')[0]}.dist-info", request.param)
    for name in needs:
        _lend(name, packages)
    environ = {"JOBRESULTS_URL": stack.url, "JOBRESULTS_TOKEN": stack.key, "NO_PROXY": "127.0.0.1"}

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs / program, *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def _needs(dist_info: Path, extra: str) -> set[str]:
    """Every distribution that the built one needs, and those that they need."""
    lines = (dist_info / "METADATA").read_text().splitlines()
    found = [line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist: " in line]
    needed: set[str] = set()
    left = list(_wanted(found, {extra}))
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name not in needed:
            needed.add(name)
            left += _wanted(distribution(name).requires or [], requirement.extras)
    return needed


def _wanted(requirements: list[str], extras: set[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": name}) for name in extras or {""}):
            yield requirement


def _lend(name: str, packages: Path) -> None:
    """Make a distribution of this environment one of the other, too."""
    found = distribution(name)
    for part in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
        (packages / part).symlink_to(Path(str(found.locate_file(part))).resolve())


def test_it_carries_the_runbooks_and_what_pages_are_made_of(wheel: Path) -> None:
    with ZipFile(wheel) as packed:
        carried = set(packed.namelist())
    pages = {f"jobresults/runbooks/{file.name}" for file in (ROOT / "docs/runbooks").iterdir()}
    templates = ROOT / "src/jobresults/web/pages/templates"
    assert pages <= carried
    assert {
        f"jobresults/web/pages/templates/{file.name}" for file in templates.iterdir()
    } <= carried


@pytest.mark.parametrize("installed", [""], indirect=True)
def test_the_client_alone_needs_no_extra(installed: Run) -> None:
    called = installed("python", "-W", "error", "-c", CALLS)
    assert (called.stdout, called.stderr) == ("\n", "")
    refused = installed("jobresults", "get", "some-job")
    assert refused.returncode == 1
    assert refused.stderr == (
        "Error: the jobresults command needs its extra: pip install 'jobresults[cli]'\n"
    )


@pytest.mark.parametrize("installed", ["cli"], indirect=True)
def test_commands_that_call_the_service_need_the_extra_cli(installed: Run) -> None:
    assert "submit" in installed("jobresults", "--help").stdout
    done = installed("jobresults", "submit", "echo", "-p", "value=[1]", "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[1]\n"
    loaded = installed("jobresults", "populate", "--jobs", "5", "--report-html", "load.html")
    assert loaded.returncode == 0, loaded.stderr
    for command in ("web", "worker", "maintenance", "migrate", "up"):
        refused = installed("jobresults", command)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == (
            f"Error: {command} needs the service: pip install 'jobresults[service]'\n"
        )
