"""A job's progress on stderr: a bar on a terminal, else one line per change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

Show = Callable[[dict[str, Any]], None]


@contextmanager
def progress_shown() -> Iterator[Show]:
    """What to call with the job's document as it changes."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("", total=None)

        def show(job: dict[str, Any]) -> None:
            progress = job["progress"] or {}
            bar.update(
                row,
                description=describe(job),
                completed=progress.get("done", 0),
                total=progress.get("total"),
            )

        yield show


def describe(job: dict[str, Any]) -> str:
    """`running 3/10: reading messages`, or `queued, waiting on worker`."""
    text = str(job["state"])
    if progress := job["progress"]:
        text += f" {progress['done']}" + (f"/{progress['total']}" if progress["total"] else "")
        return text + (f": {progress['message']}" if progress["message"] else "")
    return text + (f", waiting on {job['waiting_on']}" if job["waiting_on"] else "")


def _lines() -> Show:
    last = ""

    def show(job: dict[str, Any]) -> None:
        nonlocal last
        line = describe(job)
        if line != last:
            click.echo(line, err=True)
            last = line

    return show
