"""`jobresults workers`: who is at work; needs an operator's key."""

from __future__ import annotations

import click

from jobresults.cli.connection import connected
from jobresults.cli.tables import Column, Output, moment, output_option, print_rows

_COLUMNS = (
    Column("name", "worker"),
    Column("state", colors={"busy": "green"}),
    Column("version"),
    Column("queues"),
    Column("started_at", "started", moment),
    Column("last_seen_at", "seen", moment),
    Column("job_ids", "jobs", shrinks=True),
)


@click.command()
@output_option
def workers(output: Output) -> None:
    """Print who is at work, since when, and on which jobs."""
    with connected() as client:
        found = client.workers()
    print_rows(found, _COLUMNS, output)
