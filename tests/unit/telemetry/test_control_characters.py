"""Escaping of control characters."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from jobresults.telemetry.control_characters import escape, escape_in_json


def test_line_breaks_terminal_codes_and_overrides_become_visible() -> None:
    assert escape("a\r\nb\x1b[31m\x9b\u2028\u202e\x00") == (
        "a\\r\\nb\\x1b[31m\\x9b\\u2028\\u202e\\x00"
    )


def test_ordinary_text_of_any_language_stays_as_it_is() -> None:
    assert escape("Zürich 東京 🙂 100%") == "Zürich 東京 🙂 100%"


@given(st.text(st.characters()))
def test_the_result_is_one_line_of_valid_utf8(text: str) -> None:
    escaped = escape(text)

    assert len(escaped.splitlines()) <= 1
    assert escaped.encode().decode() == escaped
    assert escape(escaped) == escaped


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_stays_the_same_json_on_lines_that_command_nothing(text: str) -> None:
    escaped = escape_in_json(json.dumps({"text": text}, indent=2, ensure_ascii=False))

    assert json.loads(escaped) == {"text": text}
    assert len(escaped.splitlines()) == 3
