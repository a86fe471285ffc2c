"""Handing in jobs and coming back for their results: data on stdout, the rest on stderr.

Exit codes: 0 done, 1 error, 2 wrong usage, 3 job failed or canceled, 4 not authenticated or not
allowed, 5 not ended in time (the job goes on), 6 unknown or expired job, 7 service out of reach,
130 Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.connection import connected
from jobresults.cli.tables import print_json

if TYPE_CHECKING:
    from jobresults.client import JobHandle


class Data(click.ParamType[Any, Any]):
    """JSON: as it stands, in a file (`@path`), or from standard input (`-`)."""

    name = "JSON|@FILE|-"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            if value in ("-", "@-"):
                return json.load(sys.stdin.buffer)
            if value.startswith("@"):
                return json.loads(Path(value[1:]).read_bytes())
            return json.loads(value)
        except OSError as error:
            self.fail(f"cannot read {value[1:]}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)


class Parameter(click.ParamType[Any, Any]):
    """One parameter as `name=value`."""

    name = "NAME=VALUE"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        name, equals, text = value.partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not name=value", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


@click.command()
@click.argument("task")
@click.option("--data", type=Data(), help="The task's parameters.")
@click.option(
    "-p",
    "parameters",
    type=Parameter(),
    multiple=True,
    help="One parameter, over --data; the value is JSON, or else text.",
)
@click.option("--customer", help="Whose data it is.")
@click.option("--wait", "wait_for_it", is_flag=True, help="Wait for the result and print that.")
@click.option("--idempotency-key", help="The same key and parameters give the same job.")
def submit(
    task: str,
    data: Any,
    parameters: tuple[tuple[str, Any], ...],
    customer: str | None,
    wait_for_it: bool,
    idempotency_key: str | None,
) -> None:
    """Hand in a job and print it."""
    if parameters and not isinstance(data, dict | None):
        raise click.UsageError("-p needs an object in --data, or no --data")
    params = {**(data or {}), **dict(parameters)} if parameters or data is None else data
    with connected() as client:
        handle = client.submit(task, params, customer=customer, idempotency_key=idempotency_key)
        click.echo(f"job {handle.id} accepted", err=True)
        if wait_for_it:
            _print_result(handle, None)
        else:
            print_json(handle.body)


@click.command()
@click.argument("job_id")
def get(job_id: str) -> None:
    """Print a job as it is now, with its result or error once it has ended."""
    with connected() as client:
        print_json(client.get_job(job_id))


@click.command()
@click.argument("job_id")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Give up after that time; the job goes on.",
)
def wait(job_id: str, timeout_seconds: float | None) -> None:
    """Wait for a job to end and print its result."""
    with connected() as client:
        _print_result(client.job(job_id), timeout_seconds)


def _print_result(handle: JobHandle, timeout_seconds: float | None) -> None:
    from jobresults.cli.progress import progress_shown

    try:
        with progress_shown() as show:
            result = handle.result(timeout_seconds, on_progress=show)
    except KeyboardInterrupt:
        click.echo(f"job continues: jobresults wait {handle.id}", err=True)
        raise
    print_json(result)
