"""API keys of calling services, straight in the ledger."""

from __future__ import annotations

import click

from jobresults.cli.ledger import configured_ledger, rfc3339
from jobresults.cli.tables import Column, Output, moment, output_option, print_rows

_DAY_SECONDS = 86_400


def _all_or(names: list[str] | None) -> str:
    return "all" if names is None else ",".join(names)


_COLUMNS = (
    Column("prefix", "key"),
    Column("client"),
    Column("scopes", text=_all_or),
    Column("customers", text=_all_or, shrinks=True),
    Column("created_at", "created", moment),
    Column("expires_at", "expires", moment),
    Column("last_used_at", "used", moment),
    Column("revoked_at", "revoked", moment),
)


@click.group("api-key")
def api_key() -> None:
    """Manage the keys that clients authenticate with."""


@api_key.command()
@click.option("--client", required=True, help="Who will own the jobs submitted with this key.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["submit", "read", "cancel", "operate", "admin"]),
    default=["submit", "read", "cancel"],
    show_default=True,
    help="What the key may do; repeat for more. operate: see and touch every client's jobs; "
    "admin: manage people and keys.",
)
@click.option(
    "--customer",
    "customers",
    multiple=True,
    help="Limit the key to this customer; repeat for more.  [default: every customer]",
)
@click.option(
    "--expires-in-days",
    type=click.FloatRange(min=0, min_open=True),
    help="How long the key is good.  [default: until it is revoked]",
)
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="How often it may call.  [default: the installation's limit]",
)
def create(
    client: str,
    scopes: tuple[str, ...],
    customers: tuple[str, ...],
    expires_in_days: float | None,
    requests_per_second: float | None,
) -> None:
    """Issue a key and print it: the only time it can be seen."""
    from jobresults.accounts import api_keys
    from jobresults.accounts.grant import Grant

    grant = Grant(
        client,
        scopes,
        customers or None,
        requests_per_second,
        None if expires_in_days is None else expires_in_days * _DAY_SECONDS,
    )
    with configured_ledger() as database:
        click.echo(api_keys.issue_key(database, grant)[0])


@api_key.command("list")
@click.option("--client", help="Only this client's.")
@output_option
def list_(client: str | None, output: Output) -> None:
    """Show all keys by what they begin with."""
    from jobresults.accounts import api_keys

    with configured_ledger() as database:
        keys = api_keys.all_keys(database, client=client)
    rows = [
        {
            "prefix": key.prefix,
            "client": key.client,
            "scopes": list(key.scopes),
            "customers": None if key.customers is None else list(key.customers),
            "created_at": rfc3339(key.created_at_ms),
            "expires_at": rfc3339(key.expires_at_ms),
            "last_used_at": rfc3339(key.last_used_at_ms),
            "revoked_at": rfc3339(key.revoked_at_ms),
        }
        for key in keys
    ]
    print_rows(rows, _COLUMNS, output)


@api_key.command()
@click.argument("prefix")
def revoke(prefix: str) -> None:
    """Let the key that begins so be refused, everywhere within 5 s."""
    from jobresults.accounts import api_keys

    with configured_ledger() as database:
        key = api_keys.revoke(database, prefix)
    click.echo(f"{key.prefix} of {key.client} is revoked.", err=True)


@api_key.command()
@click.argument("prefix")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="How much longer the old key is good.",
)
def rotate(prefix: str, overlap_hours: float) -> None:
    """Issue and print a key for the same as the one that begins so, and let that one expire."""
    from jobresults.accounts import api_keys

    with configured_ledger() as database:
        token, _ = api_keys.rotate(database, prefix, overlap_seconds=overlap_hours * 3_600)
    click.echo(token)
