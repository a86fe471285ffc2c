"""The commands that run one process of the service each, as containers do."""

from __future__ import annotations

import sys
from typing import Literal

import click


@click.command()
@click.option(
    "--server",
    type=click.Choice(["gunicorn", "pywsgi"]),
    default="gunicorn",
    show_default=True,
    help="pywsgi: gevent's own server in one process, for development.",
)
def web(server: Literal["gunicorn", "pywsgi"]) -> None:
    """Serve HTTP at web.host and web.port."""
    from jobresults.configuration import load_settings
    from jobresults.telemetry.tracing_setup import require_exporter
    from jobresults.web.server import run

    # What is wrong is told here, not in gunicorn's words.
    require_exporter(load_settings())
    run(server)


@click.command()
def worker() -> None:
    """Run jobs, one at a time."""
    from jobresults.configuration import load_settings
    from jobresults.worker.main import run

    sys.exit(run(load_settings()))


@click.command()
def maintenance() -> None:
    """Look after jobs: leases, retries, lost dispatches, expiry."""
    from jobresults.configuration import load_settings
    from jobresults.maintenance.main import run

    sys.exit(run(load_settings()))


@click.command()
def migrate() -> None:
    """Bring the ledger's schema up to date; safe to repeat."""
    from jobresults.configuration import load_settings
    from jobresults.schema import migrate as migrate_ledger

    migrate_ledger(load_settings().database)
    click.echo("The ledger's schema is up to date.", err=True)
