"""`docs/security.md` names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs/security.md"


def named(text: str) -> set[str]:
    return set(re.findall(r"`([\w/]+/test_\w+\.py)`", text))


def test_every_named_test_exists() -> None:
    names = named(DOCUMENT.read_text())
    assert not {name for name in names if not (TESTS / name).is_file()}


def test_every_promise_and_every_risk_names_a_test() -> None:
    text = DOCUMENT.read_text()
    risks = re.findall(r"^\| (API\d+) .*$", text, re.MULTILINE)
    assert [f"API{number}" for number in range(1, 11)] == risks
    rows = re.findall(r"^\| API.*$", text, re.MULTILINE)
    section = text.partition("## What is promised")[2].partition("\n## ")[0]
    promises = re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]
    assert len(promises) >= 13
    assert all(named(item) for item in [*rows, *promises])
