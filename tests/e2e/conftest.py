"""Commands that call the shared service."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobresults.cli.main import main
from tests.services.stack import Stack

Command = Callable[..., Result]


@pytest.fixture
def shell(stack: Stack, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that calls the service."""
    return {
        **os.environ,
        "JOBRESULTS_URL": stack.url,
        "JOBRESULTS_TOKEN": stack.key,
        "XDG_CONFIG_HOME": str(tmp_path),
    }


@pytest.fixture
def jobresults(shell: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command to its end, which it should come to with the exit code given."""
    monkeypatch.chdir(tmp_path)
    for name, text in shell.items():
        if os.environ.get(name) != text:
            monkeypatch.setenv(name, text)

    def run(*arguments: str, text: str = "", exit_code: int = 0, **changes: str) -> Result:
        result = CliRunner(env=changes, catch_exceptions=False).invoke(main, arguments, input=text)
        assert result.exit_code == exit_code, result.output
        return result

    return run
