"""Looking at queues, pausing and resuming them; needs an operator's key."""

from __future__ import annotations

from typing import Any

import click

from jobresults.cli.connection import connected
from jobresults.cli.tables import Column, Output, output_option, print_json, print_rows


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} s"


def _by(value: str | None) -> str:
    return f"by {value}" if value else ""


_COLUMNS = (
    Column("name", "queue"),
    Column("queued", numeric=True),
    Column("held", numeric=True),
    Column("running", numeric=True),
    Column("oldest_seconds", "oldest", _seconds, numeric=True),
    Column("workers", numeric=True),
    Column("paused_by", "paused", _by),
)


@click.group()
def queues() -> None:
    """See what queues hold, pause and resume them."""


@queues.command("list")
@output_option
def list_(output: Output) -> None:
    """Print the queues and what they hold."""
    with connected() as client:
        found: list[dict[str, Any]] = client.queues()
    print_rows(found, _COLUMNS, output)


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
