"""A task's parameters on the command line: `--data` whole, `-p` one by one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from jobresults.cli.schemas import ANY_TYPE, Schema, allows, described, types_of


class Data(click.ParamType[Any, Any]):
    """JSON: as it stands, in a file (`@path`), or from standard input (`-`)."""

    name = "JSON|@FILE|-"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What it holds."""
        try:
            if value in ("-", "@-"):
                return json.load(sys.stdin.buffer)
            if value.startswith("@"):
                return json.loads(Path(value[1:]).read_bytes())
            return json.loads(value)
        except OSError as error:
            self.fail(f"cannot read {value[1:]}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)


class Given(NamedTuple):
    """A parameter as it was typed; its text is JSON for certain, or whatever the task wants."""

    name: str
    text: str
    is_json: bool


class Parameter(click.ParamType[Any, Any]):
    """One parameter: `name=value`, or `name:=JSON`."""

    name = "NAME=VALUE"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Given:
        """Its name and text."""
        name, equals, text = value.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not name or not equals:
            self.fail(f"{value!r} is not name=value", param, ctx)
        return Given(name, text, is_json)


def typed(given: Iterable[Given], params_schema: Schema) -> dict[str, Any]:
    """The parameters with the types that the task wants: a text stays as it was typed, all else is
    JSON.

    Raises:
        click.UsageError: a value is of no type that is wanted, or a name is given twice.
    """
    params: dict[str, Any] = {}
    for item in given:
        if item.name in params:
            raise click.UsageError(f"-p {item.name} is given twice")
        schema = params_schema.get("properties", {}).get(item.name, {})
        params[item.name] = _value(item, schema, params_schema)
    return params


def _value(item: Given, schema: Schema, root: Schema) -> Any:
    wanted = types_of(schema, root)
    may_be_text = "string" in wanted and not item.is_json
    if may_be_text and wanted <= {"string", "null"}:
        return item.text
    try:
        value = json.loads(item.text, parse_constant=_refuse)
        if allows(wanted, value):
            return value
    except ValueError:
        pass
    if may_be_text:
        return item.text
    wants = "JSON" if wanted == ANY_TYPE else described(schema, root)
    raise click.BadParameter(f"{item.name} wants {wants}, not {item.text!r}", param_hint="-p")


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
