"""`jobresults get`: a job as it is now."""

from __future__ import annotations

import click

from jobresults.cli.connection import connected
from jobresults.cli.job_ids import job_id_argument
from jobresults.cli.listing import JOB_COLUMNS
from jobresults.cli.tables import Output, output_option, print_rows


@click.command()
@job_id_argument
@output_option
def get(job_id: str, output: Output) -> None:
    """Print a job as it is now, with its result or error once it has ended."""
    from jobresults.cli.job_card import print_card

    with connected() as client:
        job = client.get_job(job_id)
    if output == "table":
        print_card(job)
    else:
        print_rows([job], JOB_COLUMNS, output)
