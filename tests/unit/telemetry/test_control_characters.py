"""Escaping of control characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobresults.telemetry.control_characters import escape


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
