"""Rows as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from typing import Any

import pytest

from jobresults.cli.tables import Column, Output, print_rows

ROWS: list[dict[str, Any]] = [
    {"id": "1", "name": "plain", "state": "good", "count": 7, "tags": [], "on": True, "more": 1},
    {
        "id": "22",
        "name": "東京, 'a\"b' \x1b[31m\u202e",
        "state": "bad",
        "count": None,
        "tags": ["a", "b"],
        "on": False,
    },
]
OUTPUTS: tuple[Output, ...] = ("json", "jsonl", "csv", "table")
COLUMNS = (
    Column("id"),
    Column("name", shrinks=True),
    Column("state", colors={"bad": "red"}),
    Column("count", "how many", numeric=True),
    Column("on", in_table=False),
    Column("tags"),
)


class Screen(io.StringIO):
    """A terminal of 30 columns."""

    def isatty(self) -> bool:
        return True


def printed_on(stdout: io.StringIO, output: Output) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        patch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 24)))
        print_rows(ROWS, COLUMNS, output)
    return stdout.getvalue()


def in_pipe(output: Output) -> str:
    return printed_on(io.StringIO(), output)


def on_terminal(output: Output) -> str:
    return printed_on(Screen(), output)


def test_json_has_whole_rows_that_command_no_terminal() -> None:
    lines = in_pipe("jsonl").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert json.loads(in_pipe("json")) == ROWS
    assert "\x1b" not in lines[1]
    assert "\u202e" not in lines[1]
    assert "東京" in lines[1]


def test_csv_has_the_columns_as_they_are() -> None:
    text = in_pipe("csv")
    assert "\r" not in text
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "name", "state", "count", "on", "tags"],
        ["1", "plain", "good", "7", "true", "[]"],
        ["22", ROWS[1]["name"], "bad", "", "false", '["a", "b"]'],
    ]


def test_a_table_is_aligned_and_whole_in_a_pipe() -> None:
    assert in_pipe("table").splitlines() == [
        "id  name                        state  how many  tags",
        "1   plain                       good          7",
        "22  東京, 'a\"b' \\x1b[31m\\u202e  bad           -  a, b",
    ]


def test_on_a_terminal_a_table_fits_and_has_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    header, _, row = on_terminal("table").splitlines()
    assert header.startswith("\x1b[1m")
    assert "東京, '…" in row
    assert "\x1b[31mbad\x1b[0m" in row


def test_who_wants_no_colors_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal("table")


def test_on_a_terminal_nothing_commands_it_in_json_and_csv() -> None:
    assert on_terminal("json").startswith("[\n  {\n")
    for output in OUTPUTS[:-1]:
        assert "\x1b" not in on_terminal(output)
