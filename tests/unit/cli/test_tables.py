"""Rows as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
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
COLUMNS = (
    Column("id"),
    Column("name", shrinks=True),
    Column("state", colors={"bad": "red"}),
    Column("count", "how many", numeric=True),
    Column("on", in_table=False),
    Column("tags"),
)
Print = Callable[[Output], str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Print:
    def out(output: Output) -> str:
        print_rows(ROWS, COLUMNS, output)
        return capsys.readouterr().out

    return out


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch, capsys: object) -> Iterator[None]:
    """As if stdout were one, 30 columns wide."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 24)))
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield


def test_json_has_whole_rows_that_command_no_terminal(printed: Print) -> None:
    lines = printed("jsonl").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert json.loads(printed("json")) == ROWS
    assert "\x1b" not in lines[1]
    assert "\u202e" not in lines[1]
    assert "東京" in lines[1]


def test_csv_has_the_columns_as_they_are(printed: Print) -> None:
    text = printed("csv")
    assert "\r" not in text
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "name", "state", "count", "on", "tags"],
        ["1", "plain", "good", "7", "true", "[]"],
        ["22", ROWS[1]["name"], "bad", "", "false", '["a", "b"]'],
    ]


def test_a_table_is_aligned_and_whole_in_a_pipe(printed: Print) -> None:
    assert printed("table").splitlines() == [
        "id  name                            state  how many  tags",
        "1   plain                           good          7",
        "22  東京, 'a\"b' \\x1b[31m\\u202e  bad           -  a, b",
    ]


@pytest.mark.usefixtures("on_terminal")
def test_on_a_terminal_a_table_fits_and_has_colors(printed: Print) -> None:
    header, _, row = printed("table").splitlines()
    assert header.startswith("\x1b[1m")
    assert "東京, …" in row
    assert "\x1b[31mbad\x1b[0m" in row


@pytest.mark.usefixtures("on_terminal")
def test_who_wants_no_colors_gets_none(printed: Print, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in printed("table")


@pytest.mark.usefixtures("on_terminal")
def test_on_a_terminal_nothing_commands_it_in_json_and_csv(printed: Print) -> None:
    assert printed("json").startswith("[\n  {\n")
    for output in ("json", "jsonl", "csv"):
        assert "\x1b" not in printed(output)
