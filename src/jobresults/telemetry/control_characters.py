"""Making control characters visible, so that no input forges a log line or steers a terminal."""

from __future__ import annotations

import re

# C0, DEL, C1, line separators, bidirectional controls, lone surrogates (which UTF-8 refuses).
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


_BUT_LINES = re.compile(rf"(?![\t\n]){_CONTROL.pattern}")


def escape(text: str) -> str:
    """The text on one line, each control character as its Python escape; always valid UTF-8."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def escape_but_lines(text: str) -> str:
    """The same for a text of several lines: line feeds and tabs stay as they are."""
    return _BUT_LINES.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def escape_in_json(text: str) -> str:
    """The JSON text with each control character in its strings as JSON's own escape; line feeds and
    tabs can only be between them.
    """
    return _BUT_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
