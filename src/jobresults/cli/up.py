"""`jobresults up`: the whole service on one machine, from one terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobresults.cli.data_directory import data_dir_option

if TYPE_CHECKING:
    from jobresults.embedded.stack import Ready


@click.command()
@click.option("--host", help="Address to listen on.  [default: web.host, 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 for any free one.  [default: web.port, 8000]",
)
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Jobs run at once."
)
@data_dir_option("Where the ledger, Redis' data and the API key live.")
def up(host: str | None, port: int | None, workers: int, data_dir: Path) -> None:
    """Run Redis, web, workers and maintenance until Ctrl-C.

    A Redis or database that the configuration names is used instead of the embedded one.
    """
    from jobresults.configuration import load_settings
    from jobresults.embedded.stack import Options, run_stack
    from jobresults.telemetry.logging_setup import configure_logging

    settings = load_settings()
    configure_logging(settings, "cli")
    options = Options(
        host=settings.web.host if host is None else host,
        port=settings.web.port if port is None else port,
        workers=workers,
        data_directory=data_dir,
    )
    run_stack(settings, options, _announce)


def _announce(ready: Ready) -> None:
    key = _shortest(ready.api_key)
    click.echo(f"""
jobresults is ready at {ready.url} (API reference: {ready.url}/docs)
The operator's API key is in {key}. Try it:

  curl -H "Authorization: Bearer $(cat '{key}')" {ready.url}/v1/tasks

{_metrics(ready)}Ctrl-C stops it.""")
    if not ready.api_key_is_accepted:
        click.echo(
            f"\nThis ledger does not know that key. Remove {key} and start again to get another.",
            err=True,
        )


def _metrics(ready: Ready) -> str:
    if not ready.metrics_urls:
        return ""
    web, maintenance, *workers = ready.metrics_urls
    return f"Metrics: {web} (web), {maintenance} (maintenance), {', '.join(workers)} (workers)\n\n"


def _shortest(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
