"""A job's progress in words."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobresults.cli.progress import describe, progress_shown
from jobresults.cli.retries import RetriesOnStderr


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ({"state": "queued", "waiting_on": "worker"}, "queued, waiting on worker"),
        ({"state": "running"}, "running"),
        ({"state": "running", "progress": (3, 10, "reading")}, "running 3/10: reading"),
        ({"state": "running", "progress": (3, None, None)}, "running 3"),
        ({"state": "running", "progress": (0, 10, None)}, "running 0/10"),
        ({"state": "running", "progress": (1, 2, "a\x1b[2J")}, "running 1/2: a\\x1b[2J"),
    ],
)
def test_state_and_progress_are_one_line(job: dict[str, Any], text: str) -> None:
    progress = job.get("progress")
    document = {
        "waiting_on": None,
        **job,
        "progress": progress and dict(zip(("done", "total", "message"), progress, strict=True)),
    }
    assert describe(document) == text


def test_without_a_terminal_only_changes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    job = {"job_id": "a", "state": "running", "waiting_on": None}
    for job_count, name in ((1, ""), (2, "a ")):
        with progress_shown(job_count) as show:
            for done in (1, 1, 2):
                show({**job, "progress": {"done": done, "total": 2, "message": None}})
        assert capsys.readouterr() == ("", f"{name}running 1/2\n{name}running 2/2\n")


class Screen(io.TextIOWrapper):
    """A terminal, for who asks, over bytes as stderr is."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, "utf-8", "backslashreplace", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        return self._bytes.getvalue().decode()


@contextmanager
def on_screen() -> Iterator[Screen]:
    """What stderr is within the block. No fixture: pytest captures anew before it calls a test."""
    with pytest.MonkeyPatch.context() as patch:
        screen = Screen()
        patch.setattr(sys, "stderr", screen)
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "200")
        yield screen


def test_brackets_in_messages_are_no_markup() -> None:
    progress = {"done": 1, "total": 2, "message": "[/b] [red]a"}
    job = {"job_id": "a", "state": "running", "done": False, "progress": progress}
    for job_count in (1, 2):
        with on_screen() as screen, progress_shown(job_count) as show:
            show({**job, "eta_seconds": 3.2})
        assert "running 1/2: [/b] [red]a" in screen.shown


def test_what_is_said_of_retries_stands_above_the_bars() -> None:
    job = {"job_id": "a", "state": "running", "done": False, "progress": None, "waiting_on": None}
    with on_screen() as screen, progress_shown() as show:
        show({**job, "eta_seconds": None})
        RetriesOnStderr().emit(logging.makeLogRecord({"msg": "trying again"}))
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.shown).replace("\r", "\n").split("\n")
    assert "trying again" in lines
