"""What became of callbacks, and sending one again; exit codes are those of `jobresults get`."""

from __future__ import annotations

from itertools import islice

import click

from jobresults.cli.connection import connected
from jobresults.cli.tables import Column, Output, moment, output_option, print_json, print_rows

_STATES = ["pending", "delivered", "given_up", "stopped"]
_COLUMNS = (
    Column("callback_id", "callback"),
    Column("state", colors={"delivered": "green", "given_up": "red"}),
    Column("attempts", numeric=True),
    Column("event"),
    Column("created_at", "created", moment),
    Column("job_id", "job"),
    Column("url", "URL", shrinks=True),
)


@click.group()
def callbacks() -> None:
    """See what became of callbacks, and send one again."""


@callbacks.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="The newest so many.",
)
@output_option
def list_(state: str | None, limit: int, output: Output) -> None:
    """List callbacks, newest first."""
    with connected() as client:
        print_rows(islice(client.callbacks.list(state=state), limit), _COLUMNS, output)


@callbacks.command()
@click.argument("callback_id")
def show(callback_id: str) -> None:
    """Print a callback with every attempt to deliver it."""
    with connected() as client:
        print_json(client.callbacks.get(callback_id))


@callbacks.command()
@click.argument("callback_id")
def redeliver(callback_id: str) -> None:
    """Send a callback now, whatever became of it."""
    with connected() as client:
        print_json(client.callbacks.redeliver(callback_id))
