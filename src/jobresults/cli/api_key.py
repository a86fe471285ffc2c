"""Issuing API keys to calling services, straight into the ledger."""

from __future__ import annotations

import click


@click.group("api-key")
def api_key() -> None:
    """Manage the keys that clients authenticate with."""


@api_key.command()
@click.option("--client", required=True, help="Who will own the jobs submitted with this key.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["submit", "read", "cancel", "operate"]),
    default=["submit", "read", "cancel"],
    show_default=True,
    help="What the key may do; repeat for more. operate: see and touch every client's jobs.",
)
def create(client: str, scopes: tuple[str, ...]) -> None:
    """Issue a key and print it: the only time it can be seen."""
    from jobresults.accounts import api_keys
    from jobresults.configuration import load_settings
    from jobresults.database import open_database

    database = open_database(load_settings().database)
    try:
        click.echo(api_keys.issue(database, client=client, scopes=scopes))
    finally:
        database.close()
