"""Answers on stdout: a table for people, or JSON or CSV for programs (`--output`)."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import click

from jobresults.telemetry.control_characters import escape, escape_in_json

Output = Literal["table", "json", "jsonl", "csv"]
Row = Mapping[str, Any]
_Command = TypeVar("_Command", bound=Callable[..., Any])

_GAP = "  "
_LEAST_WIDTH = 8


def words(value: object) -> str:
    """A value as people read it in a cell; `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


@dataclass(frozen=True)
class Column:
    """A member of each row: `name` in JSON and CSV, `title` and `text` in a table.

    One that `shrinks` is cut where the terminal is too narrow; `colors` are those of certain texts.
    Of those not `in_table` only CSV tells.
    """

    name: str
    title: str | None = None
    text: Callable[[Any], str] = words
    numeric: bool = False
    shrinks: bool = False
    colors: Mapping[str, str] = field(default_factory=dict)
    in_table: bool = True


def output_option(command: _Command) -> _Command:
    """Gives a command `-o/--output`, as its argument `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "jsonl", "csv"]),
        default=lambda: "table" if sys.stdout.isatty() else "jsonl",
        show_default="table on a terminal, else jsonl",
        help="How to print it.",
    )(command)


def print_rows(rows: Iterable[Row], columns: Sequence[Column], output: Output) -> None:
    """Print the rows: whole as JSON, else their columns. jsonl and csv are written line by line, as
    the rows come.
    """
    if output == "jsonl":
        for row in rows:
            click.echo(json_line(row))
    elif output == "json":
        print_json(list(rows))
    elif output == "csv":
        _print_csv(rows, columns)
    else:
        _print_table(rows, [column for column in columns if column.in_table])


def print_json(document: object) -> None:
    """Print the document, indented on a terminal."""
    if not sys.stdout.isatty():
        click.echo(json_line(document))
        return
    click.echo(escape_in_json(json.dumps(document, indent=2, ensure_ascii=False)))


def json_line(document: object) -> str:
    """The document as one line of JSON that commands no terminal."""
    return escape_in_json(json.dumps(document, ensure_ascii=False))


def moment(text: str | None) -> str:
    """A time of the service (RFC 3339) to the second in UTC; `-` for never."""
    if text is None:
        return "-"
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def _print_csv(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")  # what `cut` and `sort` expect
    writer.writerow([column.name for column in columns])
    for row in rows:
        writer.writerow([_field(row.get(column.name)) for column in columns])
        sys.stdout.flush()


def _field(value: object) -> object:
    """A value as a field of CSV: texts as they are, the rest as JSON, null as nothing."""
    if value is None:
        return value
    if isinstance(value, str):
        return escape(value) if sys.stdout.isatty() else value
    return json.dumps(value, ensure_ascii=False)


def _print_table(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    from rich.cells import cell_len

    titles = [_title(column) for column in columns]
    table = [[escape(column.text(row.get(column.name))) for column in columns] for row in rows]
    widths = [max(map(cell_len, cells)) for cells in zip(titles, *table, strict=True)]
    if sys.stdout.isatty():
        _fit(widths, columns, shutil.get_terminal_size().columns)
    _echo_line(titles, widths, columns, lambda _, text: click.style(text, bold=True))
    for cells in table:
        _echo_line(cells, widths, columns, lambda column, text: _colored(text, column.colors))


def _title(column: Column) -> str:
    return column.name.replace("_", " ") if column.title is None else column.title


def _fit(widths: list[int], columns: Sequence[Column], terminal_width: int) -> None:
    """Take from the columns that shrink what the terminal lacks; never so much that a cell says
    nothing.
    """
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - terminal_width
    for place, column in enumerate(columns):
        if column.shrinks and excess > 0:
            cut = min(excess, max(widths[place] - _LEAST_WIDTH, 0))
            widths[place] -= cut
            excess -= cut


def _echo_line(
    cells: Sequence[str],
    widths: Sequence[int],
    columns: Sequence[Column],
    styled: Callable[[Column, str], str],
) -> None:
    from rich.cells import cell_len, set_cell_size

    line = []
    for text, width, column in zip(cells, widths, columns, strict=True):
        shown = text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
        padding = " " * (width - cell_len(shown))
        shown = styled(column, shown)
        line.append(padding + shown if column.numeric else shown + padding)
    click.echo(_GAP.join(line).rstrip(), color=False if os.environ.get("NO_COLOR") else None)


def _colored(text: str, colors: Mapping[str, str]) -> str:
    return click.style(text, fg=colors[text]) if text in colors else text
