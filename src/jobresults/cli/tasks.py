"""`jobresults tasks`: what can be handed in, and how."""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from jobresults.cli.completion import task_names
from jobresults.cli.connection import connected
from jobresults.cli.schemas import Schema, described, types_of
from jobresults.cli.tables import Column, Output, output_option, print_rows
from jobresults.cli.times import span
from jobresults.telemetry.control_characters import escape, escape_but_lines

Task = Mapping[str, Any]
_SIMPLE = frozenset({"string", "integer", "number", "boolean"})


def _first_line(doc: str) -> str:
    return doc.partition("\n")[0]


_TASK_COLUMNS = (
    Column("name"),
    Column("doc", "does", text=_first_line, shrinks=True),
    Column("queue"),
    Column("timeout_seconds", "attempt up to", text=span, numeric=True),
    Column("max_attempts", "attempts", numeric=True),
)
_FIELD_COLUMNS = (
    Column("name"),
    Column("type"),
    Column("default"),
    Column("description", shrinks=True),
)


@click.command()
@click.argument("name", required=False, shell_complete=task_names)
@output_option
def tasks(name: str | None, output: Output) -> None:
    """List the tasks, or show how to submit one: its parameters, their types and an example."""
    with connected() as client:
        found = client.tasks()
    if name is None:
        print_rows(found, _TASK_COLUMNS, output)
        return
    task = _named(name, found)
    if output == "table":
        _print_card(task)
    else:
        print_rows([task], _TASK_COLUMNS, output)


def _named(name: str, found: Iterable[Task]) -> Task:
    by_name = {task["name"]: task for task in found}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=1)
    hint = f"did you mean {near[0]}?" if near else "`jobresults tasks` lists those there are"
    raise click.BadParameter(f"there is no task {name!r}; {hint}", param_hint="NAME")


def _print_card(task: Task) -> None:
    params = task["params_schema"]
    click.echo(escape_but_lines(f"{task['name']}: {task['doc']}".rstrip()))
    click.echo()
    attempts = task["max_attempts"]
    click.echo(
        f"In queue {escape(task['queue'])}; at most {attempts} "
        f"{'attempt' if attempts == 1 else 'attempts'} of up to {span(task['timeout_seconds'])}; "
        f"the result is kept for {span(task['result_ttl_seconds'])}."
    )
    _print_fields("Parameters", params, params)
    for title, schema in params.get("$defs", {}).items():
        _print_fields(title, schema, params)
    click.echo(f"\nReturns {escape(described(task['result_schema'], task['result_schema']))}.")
    click.echo(f"\nExample:\n\n  {escape(_example(task))}")


def _print_fields(title: str, schema: Schema, root: Schema) -> None:
    if fields := list(_fields(schema, root)):
        click.echo(f"\n{escape(title)}:\n")
        print_rows(fields, _FIELD_COLUMNS, "table")


def _fields(schema: Schema, root: Schema) -> Iterator[dict[str, str]]:
    for name, field in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        yield {
            "name": name,
            "type": described(field, root),
            "default": "required" if required else json.dumps(field.get("default")),
            "description": field.get("description", ""),
        }


def _example(task: Task) -> str:
    """A command that submits it with the parameters it needs."""
    from jobresults.web.examples import example_of

    schema = task["params_schema"]
    params = example_of(schema, schema.get("$defs", {}))
    words = ["jobresults", "submit", task["name"], "--wait"]
    fields = schema.get("properties", {})
    if all(types_of(fields[name], schema) <= _SIMPLE for name in params):
        for name, value in params.items():
            words += ["-p", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    else:
        words += ["--data", json.dumps(params, ensure_ascii=False)]
    return shlex.join(words)
