"""`jobresults list`: finding jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.completion import task_names
from jobresults.cli.connection import connected
from jobresults.cli.filters import STATES, Condition, query_of
from jobresults.cli.job_ids import JobId
from jobresults.cli.progress import amount
from jobresults.cli.tables import Column, Output, output_option, print_rows
from jobresults.cli.times import Since, ago

if TYPE_CHECKING:
    from jobresults.client import Client

_LARGEST_PAGE = 100
STATE_COLORS = {
    "succeeded": "green",
    "failed": "red",
    "canceled": "yellow",
    "running": "cyan",
}


def _amount(progress: dict[str, Any] | None) -> str:
    return "-" if progress is None else amount(progress)


JOB_COLUMNS = (
    Column("job_id"),
    Column("task", shrinks=True),
    Column("customer", shrinks=True),
    Column("state", colors=STATE_COLORS),
    Column("created_at", "age", text=ago, numeric=True),
    Column("attempt", in_table=False),
    Column("started_at", in_table=False),
    Column("ended_at", in_table=False),
    Column("queue", in_table=False),
    Column("tags", shrinks=True),
    Column("progress", text=_amount, shrinks=True),
)


@click.command("list")
@click.option(
    "--state", multiple=True, type=click.Choice(STATES), help="In this state; repeat for more."
)
@click.option("--task", shell_complete=task_names, help="Of this task.")
@click.option("--customer", help="Of this customer.")
@click.option("--tag", help="With this tag.")
@click.option("-q", "--q", metavar="TEXT", help="With this text in task, customer or error.")
@click.option("--since", type=Since(), help="Handed in since then: a time, or `2h` for 2 h ago.")
@click.option("--until", type=Since(), help="Handed in before then.")
@click.option("--id", "ids", multiple=True, type=JobId(), help="This one; repeat for more.")
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many."
)
@output_option
def list_(
    state: tuple[str, ...],
    ids: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    output: Output,
    **texts: str | None,
) -> None:
    """List jobs, newest first, without their results."""
    single = {**texts, "since": since, "until": until}
    query = query_of(
        [
            *(Condition("state", one) for one in state),
            *(Condition("id", one) for one in ids),
            *(Condition(name, value) for name, value in single.items() if value is not None),
        ]
    )
    with connected() as client:
        print_rows(_newest(client, query, limit), JOB_COLUMNS, output)


def _newest(client: Client, query: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    """So many jobs; says if there are more."""
    found = client.jobs(**query, limit=min(limit + 1, _LARGEST_PAGE))
    for number, job in enumerate(found):
        if number == limit:
            click.echo(f"there are more; --limit {10 * limit} shows them", err=True)
            return
        yield job
