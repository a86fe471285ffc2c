"""`jobresults logs`: what a job's task logged and printed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.connection import connected
from jobresults.cli.job_ids import job_id_argument
from jobresults.cli.tables import Column, Output, moment, output_option, print_rows
from jobresults.cli.waiting import return_told
from jobresults.telemetry.control_characters import escape, escape_but_lines

if TYPE_CHECKING:
    from jobresults.client import JobHandle

_COLUMNS = tuple(map(Column, ("seq", "at", "attempt", "level", "logger", "message")))
_COLORS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


@click.command()
@job_id_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@output_option
def logs(job_id: str, follow: bool, output: Output) -> None:
    """Print what a job's task logged and printed: on a terminal `time LEVEL message`."""
    with connected() as client:
        handle = client.job(job_id)
        if not follow:
            _print(_all(handle), output)
            return
        with return_told([job_id]):
            _print(handle.logs(follow=True), output)


def _all(handle: JobHandle) -> Iterator[dict[str, Any]]:
    """The lines there are, page by page."""
    after = None
    while page := handle.logs(after):
        yield from page
        after = page[-1]["seq"]


def _print(lines: Iterator[dict[str, Any]], output: Output) -> None:
    if output != "table":
        print_rows(lines, _COLUMNS, output)
        return
    color = False if os.environ.get("NO_COLOR") else None
    for line in lines:
        level = click.style(f"{escape(line['level']):7}", fg=_COLORS.get(line["level"]))
        click.echo(f"{moment(line['at'])} {level} {escape_but_lines(line['message'])}", color=color)
