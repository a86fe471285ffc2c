"""docs/cli.md: each command in it could be typed."""

from __future__ import annotations

import io

import pytest

from jobresults.cli.main import main
from tests.support import documented_commands

DOCUMENT = documented_commands.ROOT / "docs" / "cli.md"
JOB_COMMANDS = {"submit", "get", "wait", "logs", "list", "cancel", "rerun", "tasks"}


def test_every_command_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(documented_commands.ROOT)
    named = set()
    for words in documented_commands.commands_in(DOCUMENT.read_text()):
        monkeypatch.setattr("sys.stdin", io.StringIO())
        documented_commands.check(words)
        named.add(words[1])
    assert named >= JOB_COMMANDS
    assert named <= set(main.list_commands(None))  # type: ignore[arg-type]
