"""A job's progress in words."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from jobresults.cli.progress import describe, progress_shown


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


class Screen(io.StringIO):
    """A terminal, for who asks."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("job_count", [1, 2])
def test_brackets_in_messages_are_no_markup(
    job_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    progress = {"done": 1, "total": 2, "message": "[/b] [red]a"}
    job = {"job_id": "a", "state": "running", "done": False, "progress": progress}
    with progress_shown(job_count) as show:
        show({**job, "eta_seconds": 3.2})
    assert "running 1/2: [/b] [red]a" in screen.getvalue()
