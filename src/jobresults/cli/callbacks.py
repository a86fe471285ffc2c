"""What became of callbacks, and sending one again; exit codes are those of `jobresults get`."""

from __future__ import annotations

import click

from jobresults.cli.connection import connected
from jobresults.cli.tables import print_json

_STATES = ["pending", "delivered", "given_up", "stopped"]


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
def list_(state: str | None, limit: int) -> None:
    """List callbacks, newest first: id, state, attempts, event, job and URL."""
    with connected() as client:
        for number, found in enumerate(client.callbacks.list(state=state), start=1):
            fields = ("callback_id", "state", "attempts", "event", "job_id", "url")
            click.echo("\t".join(str(found[name]) for name in fields))
            if number == limit:
                return


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
