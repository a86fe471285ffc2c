"""Looking at queues, pausing and resuming them; needs an operator's key."""

from __future__ import annotations

import sys
from typing import Any

import click

from jobresults.cli.connection import connected
from jobresults.cli.tables import print_json


@click.group()
def queues() -> None:
    """See what queues hold, pause and resume them."""


@queues.command("list")
@click.option("--json", "as_json", is_flag=True, help="As the service answers it.")
def list_(as_json: bool) -> None:
    """Print the queues and what they hold."""
    with connected() as client:
        found = client.queues()
    if as_json or not sys.stdout.isatty():
        print_json(found)
    else:
        _print_table(found)


@queues.command()
@click.argument("name")
def pause(name: str) -> None:
    """Start no more jobs of a queue; what runs goes on."""
    with connected() as client:
        print_json(client.pause_queue(name))


@queues.command()
@click.argument("name")
def resume(name: str) -> None:
    """Start jobs of a queue again."""
    with connected() as client:
        print_json(client.resume_queue(name))


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for title in ("queue", "queued", "held", "running", "oldest", "workers", "paused"):
        table.add_column(title, justify="left" if title in ("queue", "paused") else "right")
    for queue in found:
        oldest = queue["oldest_seconds"]
        table.add_row(
            queue["name"],
            *(str(queue[name]) for name in ("queued", "held", "running")),
            "" if oldest is None else f"{oldest:.0f} s",
            str(queue["workers"]),
            f"by {queue['paused_by']}" if queue["paused"] else "",
        )
    Console().print(table)
