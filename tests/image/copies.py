"""Copies of the project, as other people check it out."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.services.stack import PROJECT

# What Git leaves out, and Git's own.
_LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".*_cache", ".hypothesis", ".jobresults", "__pycache__", "node_modules"),
    *(
        "build",
        "dist",
        "secrets",
        "credentials.json",
        "settings.env",
        "docker-compose.override.yaml",
    ),
)


def copy_project(target: Path) -> None:
    """Only what a fresh checkout has."""
    shutil.copytree(PROJECT, target, ignore=_LEFT_OUT)
