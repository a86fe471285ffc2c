"""People's accounts, straight in the ledger: how the first admin comes to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.ledger import configured_ledger, rfc3339
from jobresults.cli.tables import Column, Output, moment, output_option, print_rows

if TYPE_CHECKING:
    from jobresults.database import Database

_COLUMNS = (
    Column("id", numeric=True),
    Column("name"),
    Column("role"),
    Column("created_at", "created", moment),
    Column("disabled"),
)
_role = click.Choice(["viewer", "operator", "admin"])


@click.group()
def user() -> None:
    """Manage the accounts of people who log in."""


@user.command()
@click.argument("name")
@click.option("--role", type=_role, default="viewer", show_default=True)
@click.password_option(help="Asked for if it is left out, which keeps it out of `ps`.")
def create(name: str, role: str, password: str) -> None:
    """Make an account."""
    from jobresults.accounts import people
    from jobresults.accounts.principal import Role

    with configured_ledger() as database:
        made = people.create(database, name=name, password_hash=_hashed(password), role=Role(role))
        click.echo(f"{made.name} is {made.role} now, with the id {made.id}.", err=True)


@user.command("list")
@output_option
def list_(output: Output) -> None:
    """Show all accounts."""
    with configured_ledger() as database:
        print_rows(_accounts(database), _COLUMNS, output)


@user.command()
@click.argument("name")
def disable(name: str) -> None:
    """Let nobody log in as this person, and revoke the tokens there are."""
    _change(name, disabled=True)


@user.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let a disabled person log in again."""
    _change(name, disabled=False)


@user.command("set-password")
@click.argument("name")
@click.password_option(help="Asked for if it is left out, which keeps it out of `ps`.")
def set_password(name: str, password: str) -> None:
    """Give a person another password, and revoke the tokens there are."""
    _change(name, password_hash=_hashed(password))


@user.command("set-role")
@click.argument("name")
@click.argument("role", type=_role)
def set_role(name: str, role: str) -> None:
    """Give a person another role, and revoke the tokens there are."""
    from jobresults.accounts.principal import Role

    _change(name, role=Role(role))


def _accounts(database: Database) -> Iterator[dict[str, Any]]:
    from jobresults.accounts import people

    after: int | None = 0
    while after is not None:
        page, after = people.page(database, after_id=after, limit=100)
        for person in page:
            yield {
                "id": person.id,
                "name": person.name,
                "role": str(person.role),
                "created_at": rfc3339(person.created_at_ms),
                "disabled": person.disabled_at_ms is not None,
            }


def _change(name: str, **values: Any) -> None:
    from jobresults.accounts import people

    with configured_ledger() as database:
        person = people.get_by_name(database, name)
        changed = people.change(database, person.id, people.Change(**values))
        state = "disabled" if changed.disabled_at_ms else "active"
        click.echo(f"{changed.name}: {changed.role}, {state}. Its logins have ended.", err=True)


def _hashed(password: str) -> str:
    from jobresults.accounts.passwords import Passwords
    from jobresults.accounts.people import check_password

    check_password(password)
    return Passwords().hash(password)
