"""`jobresults wait`: coming back for results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from jobresults.cli.connection import connected
from jobresults.cli.job_ids import JobIds, job_ids_argument
from jobresults.cli.outcomes import Row, exit_code_of, outcome_of, worst
from jobresults.cli.progress import progress_shown
from jobresults.cli.tables import json_line, print_json
from jobresults.cli.times import Duration
from jobresults.cli.waiting import Waiting, result_of, return_told

if TYPE_CHECKING:
    from jobresults.client import Client


@click.command()
@job_ids_argument()
@click.option(
    "--any/--all", "any_one", help="Until one has ended, however it did, or all.  [default: all]"
)
@click.option("--timeout", type=Duration(), help="Give up after that time; the jobs go on.")
def wait(job_ids: JobIds, any_one: bool, timeout: float | None) -> None:
    """Wait for jobs to end and print their results.

    For one job that is what its task returned. For several, or those on standard input (`-`: ids,
    or jobs as `list` and `submit` print them), it is a line for each as it ends: `{"job_id",
    "state", "result" or "error"}`.

    Exit codes: 0 succeeded, 3 failed or canceled, 5 not ended in time, 6 unknown or expired; of
    several jobs the first of 6, 3, 5 that one has.
    """
    with connected() as client:
        if job_ids.is_single:
            print_json(result_of(client.job(job_ids.ids[0]), timeout))
            return
        code = _print_outcomes(client, job_ids, any_one, timeout)
    sys.exit(code)


def _print_outcomes(
    client: Client, job_ids: JobIds, any_one: bool, timeout_seconds: float | None
) -> int:
    """Prints how the jobs ended, and of those that did not, how they are. Gives the exit code."""
    waiting = Waiting(client, job_ids.ids)
    codes = []
    with _output() as print_outcome:
        with return_told(waiting.left), progress_shown(len(job_ids.ids)) as show:
            for outcome in waiting.outcomes(timeout_seconds, show):
                print_outcome(outcome)
                codes.append(exit_code_of(outcome))
                if any_one:
                    return worst(codes)
        for handle in waiting.left.values():
            outcome = outcome_of(handle.body)
            print_outcome(outcome)
            codes.append(exit_code_of(outcome))
    return worst(codes)


@contextmanager
def _output() -> Iterator[Callable[[Row], None]]:
    """Prints what it is called with, on a terminal once the bars are gone."""
    later: list[Row] = []
    try:
        yield later.append if sys.stdout.isatty() else _print
    finally:
        for row in later:
            _print(row)


def _print(row: Row) -> None:
    click.echo(json_line(row))
