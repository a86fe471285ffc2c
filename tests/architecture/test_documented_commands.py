"""Every command of a page is run by a test or, where it cannot be, could be run: what it names
exists.
"""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

import pytest

from tests.architecture.test_documents import DOCUMENTS, ROOT
from tests.documents.conftest import HTTP, README, TASKS
from tests.support.console_sessions import steps_in
from tests.support.documented_commands import check, commands_in, commands_of_page

RUN = {README, TASKS, HTTP}  # by tests/documents/test_pages.py
CHECKED = [
    page
    for page in DOCUMENTS
    if page not in RUN and page.parent.name != "runbooks"  # these have a stricter test
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(
    r"^(\$ |(jobresults|make|docker|kubectl|curl|pip3?|python3?|export|prometheus) )", re.M
)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", CHECKED, ids=name)
def test_every_command_could_be_run(page: Path) -> None:
    for words in commands_of_page(page.read_text()):
        try:
            check(words)
        except Exception as error:
            error.add_note(" ".join(words))
            raise


def test_no_command_hides_in_a_block_of_another_kind() -> None:
    hidden = [
        f"{name(page)}: {line[0]}{block}"
        for page in DOCUMENTS
        for language, block in _FENCE.findall(page.read_text())
        if language not in ("console", "sh", "bash") and (line := _COMMAND.search(block))
    ]
    assert not hidden


def test_a_shell_takes_every_script_and_session() -> None:
    for page in DOCUMENTS:
        text = page.read_text()
        scripts = [block for language, block in _FENCE.findall(text) if language in ("sh", "bash")]
        for script in [*scripts, *(step.command for step in steps_in(text))]:
            read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
            assert not read.stderr, f"{name(page)}: {script}: {read.stderr}"


def test_every_python_block_compiles() -> None:
    for page in DOCUMENTS:
        for language, block in _FENCE.findall(page.read_text()):
            if language == "python":
                compile(block, name(page), "exec")


def test_every_recorded_command_could_be_run() -> None:
    recording = runpy.run_path(str(ROOT / "docs/pictures/terminal.py"))
    for command in recording["COMMANDS"]:
        (words,) = commands_in(f"```console\n$ {command}\n```")
        check(words)


def test_pictures_fetch_nothing_and_tell_no_path_of_a_machine() -> None:
    for picture in (ROOT / "docs/pictures").glob("*.svg"):
        text = picture.read_text().replace("http://www.w3.org/", "")
        assert not re.search(r"/tmp/|/home/|/root/|url\(\W?http|href=\W?http", text), picture.name
