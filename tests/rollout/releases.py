"""The code of this tree, and that of the newest commit whose schema is older."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobresults.schema import MIGRATIONS, revisions
from tests.services.stack import PROJECT

_VERSIONS = (MIGRATIONS / "versions").relative_to(PROJECT)
_FILES = ("src", "config.yaml", "dictconfig_logging.py", "gunicorn.conf.py", "wsgi_app.py")


@dataclass(frozen=True)
class Release:
    """Code that can be run with the packages of this environment."""

    name: str
    directory: Path

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process of it runs with; the tasks are those of the tests in any case."""
        places = (self.directory / "src", self.directory, PROJECT)
        return {"PYTHONPATH": os.pathsep.join(map(str, places))}

    @property
    def has_probes(self) -> bool:
        """Whether its workers and maintenance can be asked how they are."""
        return (self.directory / "src/jobresults/telemetry/pulse.py").exists()

    @property
    def revision(self) -> str:
        """Of the schema it needs."""
        names = (self.directory / _VERSIONS).glob("[0-9]*.py")
        return max(path.name.partition("_")[0] for path in names)


CURRENT = Release("new", PROJECT)


def before_last_migration(directory: Path) -> Release | None:
    """The newest code in the history that knows only the first ones of our revisions, unpacked
    there; None without a history.
    """
    commit = _newest_with_older_schema()
    if commit is None:
        return None
    archive = _git("archive", "--format=tar", commit, *_FILES)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    return Release(f"old ({commit[:9]})", directory)


def _newest_with_older_schema() -> str | None:
    commits = _git("rev-list", "HEAD").decode().split()
    asked = "\n".join(f"{commit}:{_VERSIONS}" for commit in commits)
    trees = _git("cat-file", "--batch-check=%(objectname)", text=asked).decode().splitlines()
    is_older: dict[str, bool] = {}
    for commit, tree in zip(commits, trees, strict=True):
        if tree.endswith(" missing"):
            continue
        if tree not in is_older:
            is_older[tree] = _is_older(tree)
        if is_older[tree]:
            return commit
    return None


def _is_older(tree: str) -> bool:
    names = _git("ls-tree", "--name-only", tree).decode().split()
    found = sorted(name.partition("_")[0] for name in names if name[0].isdigit())
    ours = revisions()
    return 0 < len(found) < len(ours) and found == ours[: len(found)]


def _git(*arguments: str, text: str = "") -> bytes:
    """What git says; nothing where there is no repository."""
    command = ("git", "-c", "safe.directory=*", *arguments)
    try:
        done = subprocess.run(command, cwd=PROJECT, input=text.encode(), capture_output=True)
    except FileNotFoundError:
        return b""
    return done.stdout if done.returncode == 0 else b""
