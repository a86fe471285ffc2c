"""The documents name only what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("k8s/**/*.md"))
    if path.is_file()
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_MAKE = re.compile(r"(?:`|\$ )make ([a-z][a-z-]*)")
_COMMAND = re.compile(r"(?:`|\$ )jobresults ([a-z][a-z-]*)")
_MODULE = re.compile(r"`((?:src/jobresults|tests|benchmarks|examples|docs|k8s)/[\w./-]+)`")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def test_every_relative_link_leads_somewhere(document: Path) -> None:
    broken = [
        target
        for target in _LINK.findall(document.read_text())
        if not (document.parent / target).exists()
    ]
    assert not broken


def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(_MAKE.findall(document.read_text())) <= targets


def test_every_command_exists(document: Path) -> None:
    from jobresults.cli.main import main

    named = set(_COMMAND.findall(document.read_text()))
    assert named <= set(main.list_commands(None))  # type: ignore[arg-type]


def test_every_path_in_backticks_exists(document: Path) -> None:
    missing = [path for path in _MODULE.findall(document.read_text()) if not (ROOT / path).exists()]
    assert not missing
