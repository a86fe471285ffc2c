"""`jobresults submit`: handing in a job."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.completion import task_names
from jobresults.cli.connection import connected
from jobresults.cli.parameters import Data, Given, Parameter, typed
from jobresults.cli.tables import print_json
from jobresults.cli.times import Duration, Moment
from jobresults.cli.waiting import result_of

if TYPE_CHECKING:
    from jobresults.client import Client


@click.command()
@click.argument("task", shell_complete=task_names)
@click.option("--data", type=Data(), help="All parameters.")
@click.option(
    "-p",
    "parameters",
    type=Parameter(),
    multiple=True,
    help="One parameter, over --data: text where the task wants text, else JSON; NAME:=VALUE is "
    "always JSON. Repeat for more.",
)
@click.option("--customer", help="Whose data it is.")
@click.option("--queue", help="Where it waits.  [default: the task's]")
@click.option("--delay", "delay_seconds", type=Duration(), help="Run it not before that time.")
@click.option("--run-at", type=Moment(), help="Run it not before then.")
@click.option(
    "--max-attempts", type=click.IntRange(1), help="Starts at most.  [default: the task's]"
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=Duration(),
    help="How long one attempt may take.  [default: the task's]",
)
@click.option("--tag", "tags", multiple=True, help="For finding it again; repeat for more.")
@click.option("--callback-url", metavar="URL", help="POST there how it ended.")
@click.option("--idempotency-key", help="The same key and parameters give the same job.")
@click.option("--wait", "waits", is_flag=True, help="Wait for the result and print that.")
@click.option(
    "--wait-timeout", type=Duration(), help="With --wait: give up after that; the job goes on."
)
def submit(
    task: str,
    data: Any,
    parameters: tuple[Given, ...],
    idempotency_key: str | None,
    waits: bool,
    wait_timeout: float | None,
    **options: Any,
) -> None:
    """Hand in a job and print it. `jobresults tasks` shows what there is to do.

    With --wait, exit codes are those of `jobresults wait`.
    """
    _check(data, parameters, options, waits or wait_timeout is None)
    key = idempotency_key or str(uuid.uuid4())
    with connected() as client:
        params = {} if data is None else data
        if parameters:
            params = {**params, **typed(parameters, _schema(client, task))}
        with _doubt_told(key):
            handle = client.submit(task, params, idempotency_key=key, **options)
        click.echo(f"job {handle.id} accepted", err=True)
        print_json(result_of(handle, wait_timeout) if waits else handle.body)


def _check(
    data: Any, parameters: tuple[Given, ...], options: dict[str, Any], knows_when: bool
) -> None:
    if parameters and not isinstance(data, dict | None):
        raise click.UsageError("-p needs an object in --data, or no --data")
    if options["run_at"] is not None and options["delay_seconds"] is not None:
        raise click.UsageError("give either --run-at or --delay")
    if not knows_when:
        raise click.UsageError("--wait-timeout needs --wait")


def _schema(client: Client, name: str) -> dict[str, Any]:
    """Of the task's parameters; of an unknown one, which the service will refuse, nothing."""
    found = (task["params_schema"] for task in client.tasks() if task["name"] == name)
    return next(found, {})


@contextmanager
def _doubt_told(key: str) -> Iterator[None]:
    """Says how to be sure, where it is not known whether the job was accepted."""
    from jobresults.client import ServiceUnavailable

    try:
        yield
    except (KeyboardInterrupt, ServiceUnavailable):
        click.echo(
            "It may have been accepted or not. The same command with "
            f"--idempotency-key {key} makes sure that it is, once.",
            err=True,
        )
        raise
