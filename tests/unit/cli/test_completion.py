"""What shells complete, as they ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobresults.cli.main import COMMANDS, main
from tests.services.process import unmeasured

_ASK = """
eval "$(jobresults completion bash)"
COMP_WORDS=({words}); COMP_CWORD={place}
_jobresults_completion jobresults
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The command under its name, wherever it is installed."""
    path = tmp_path / "jobresults"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m jobresults.cli.main "$@"\n')
    path.chmod(0o755)
    return path


def completed(program: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    script = _ASK.format(words=" ".join(map(repr, ["jobresults", *words])), place=len(words))
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=unmeasured(PATH=path, PYTHONPATH=os.pathsep.join(sys.path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_and_choices(program: Path) -> None:
    assert completed(program, "que") == ["queues"]
    assert completed(program, "queues", "pa") == ["pause"]
    assert completed(program, "queues", "list", "--out") == ["--output"]
    assert completed(program, "queues", "list", "-o", "json") == ["json", "jsonl"]
    assert set(completed(program, "")) == set(COMMANDS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_for_our_name(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_JOBRESULTS_COMPLETE={shell}_complete" in done.stdout
    assert "_jobresults_completion" in done.stdout


def test_other_shells_are_refused() -> None:
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 2
