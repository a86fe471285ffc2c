"""`jobresults config`: what this installation is set to, and what set it so."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from jobresults.cli.tables import Column, Output, output_option, print_rows


@click.group()
def config() -> None:
    """Look at the settings."""


@config.command()
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@output_option
def show(keys: tuple[str, ...], output: Output) -> None:
    """Print every setting, its value, and whether that is the default, stands in the configuration
    file, in the environment, or in a file that the environment names. Secrets are not shown.

    KEY limits it to a section (`web`) or a setting (`web.port`). What is wrong is told on stderr,
    left out of what is printed, and makes the exit code 1.
    """
    from jobresults.configuration.origins import all_settings
    from jobresults.configuration.salvaging import salvage

    found = salvage()
    rows = [
        {"key": it.key, "value": shown(it.key, it.value), "origin": it.origin}
        for it in all_settings(found)
        if not keys or any(f"{it.key}.".startswith(f"{key}.") for key in keys)
    ]
    if not rows:
        raise click.UsageError(f"no setting is named {' or '.join(keys)}")
    columns = (Column("key"), Column("value", text=_yaml, shrinks=True), Column("origin"))
    print_rows(rows, columns, output)
    for problem in found.problems:
        click.echo(f"error: {problem}", err=True)
    sys.exit(1 if found.problems else 0)


def shown(key: str, value: Any) -> Any:
    """A setting's value as JSON, with everything hidden in it that is secret."""
    from pydantic import BaseModel, SecretStr

    from jobresults.telemetry.redaction import hide

    name = key.rpartition(".")[2]
    if isinstance(value, SecretStr):
        return _hidden(name, value.get_secret_value())
    if isinstance(value, BaseModel):
        return {name: shown(name, getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(item): shown(str(item), value[item]) for item in value}
    if isinstance(value, tuple | list):
        return [shown(key, item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return hide(str(value))


def _hidden(name: str, secret: str) -> str:
    """Of a URL what is no secret: where it leads and, of a database's, its name."""
    from jobresults.doctor.places import shown as place
    from jobresults.telemetry.redaction import HIDDEN, hide

    scheme, is_url, rest = secret.partition("://")
    if not is_url or not (name == "dsn" or name.endswith("url")):
        return HIDDEN
    if scheme.startswith("http"):  # the path of a webhook is its secret
        return f"{place(secret)}/{HIDDEN}"
    user, at, where = rest.rpartition("@")
    return hide(f"{scheme}://{HIDDEN}@{where}" if at and user else secret)


def _yaml(value: Any) -> str:
    """As it would stand in the configuration file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
