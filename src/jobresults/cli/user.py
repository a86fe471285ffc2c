"""People's accounts, straight in the ledger: how the first admin comes to be."""

from __future__ import annotations

from typing import Any

import click

from jobresults.cli.ledger import configured_ledger
from jobresults.cli.tables import print_table, utc

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
def list_() -> None:
    """Show all accounts."""
    from jobresults.accounts import people

    with configured_ledger() as database:
        rows, after = [], 0
        while True:
            page, next_after = people.page(database, after_id=after, limit=100)
            rows += [
                (
                    str(person.id),
                    person.name,
                    str(person.role),
                    utc(person.created_at_ms),
                    "disabled" if person.disabled_at_ms else "active",
                )
                for person in page
            ]
            if next_after is None:
                break
            after = next_after
        print_table(("id", "name", "role", "created", "state"), rows)


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
