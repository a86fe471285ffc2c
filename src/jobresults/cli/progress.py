"""The progress of jobs on stderr: bars on a terminal, else one line per change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.times import span
from jobresults.telemetry.control_characters import escape

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Show = Callable[[Mapping[str, Any]], None]
_MOST_BARS = 10


@contextmanager
def progress_shown(job_count: int = 1) -> Iterator[Show]:
    """What to call with the jobs' documents as they change, until they have ended."""
    console = _terminal()
    if console is None:
        yield _Lines(named=job_count > 1)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    # Not redirected, stdout stays data.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        yield _Bars(progress) if job_count == 1 else _ManyBars(progress, job_count)


def describe(job: Mapping[str, Any]) -> str:
    """`running 3/10: reading messages`, or `queued, waiting on worker`."""
    text = str(job["state"])
    if job["progress"]:
        return f"{text} {amount(job['progress'])}"
    return text + (f", waiting on {job['waiting_on']}" if job["waiting_on"] else "")


def amount(progress: Mapping[str, Any]) -> str:
    """How far a job is: `3/10: reading messages`."""
    text = str(progress["done"]) + (f"/{progress['total']}" if progress["total"] else "")
    return text + (f": {escape(progress['message'])}" if progress["message"] else "")


def _terminal() -> Console | None:
    """The terminal that stderr is, if it can draw over what it has drawn."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return console if console.is_interactive else None


class _Lines:
    """One line for each change; `named`: with the job's id before it."""

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._last: dict[str, str] = {}

    def __call__(self, job: Mapping[str, Any]) -> None:
        job_id = job["job_id"]
        text = describe(job)
        if self._last.get(job_id) != text:
            self._last[job_id] = text
            click.echo(f"{job_id} {text}" if self._named else text, err=True)


class _Bars:
    """A bar for each job that has not ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, job: Mapping[str, Any]) -> None:
        job_id = job["job_id"]
        if job["done"]:
            if job_id in self._bars:
                self._progress.remove_task(self._bars.pop(job_id))
            return
        if job_id not in self._bars:
            self._bars[job_id] = self._progress.add_task("", total=None)
        progress = job["progress"] or {}
        self._progress.update(
            self._bars[job_id],
            description=self._words(job),
            completed=progress.get("done", 0),
            total=progress.get("total"),
        )

    def _words(self, job: Mapping[str, Any]) -> str:
        eta = job["eta_seconds"]
        return describe(job) + ("" if eta is None else f", about {span(eta)} to go")


class _ManyBars(_Bars):
    """A bar for all jobs, and one for each of the first that run."""

    def __init__(self, progress: Progress, job_count: int) -> None:
        super().__init__(progress)
        self._job_count = job_count
        self._states: dict[str, str] = {}
        self._all = progress.add_task(f"0 of {job_count} jobs ended", total=job_count)

    def __call__(self, job: Mapping[str, Any]) -> None:
        is_shown = job["job_id"] in self._bars
        runs = job["state"] == "running" and len(self._bars) < _MOST_BARS
        if is_shown or runs:
            super().__call__(job)
        if job["done"] and job["job_id"] not in self._states:
            self._states[job["job_id"]] = job["state"]
            self._progress.update(
                self._all, completed=len(self._states), description=self._summary()
            )

    def _summary(self) -> str:
        bad = sum(state != "succeeded" for state in self._states.values())
        text = f"{len(self._states)} of {self._job_count} jobs ended"
        return f"{text}, {bad} without result" if bad else text

    def _words(self, job: Mapping[str, Any]) -> str:
        return f"{job['job_id']} {describe(job)}"
