"""Picking values from payloads."""

from __future__ import annotations

import pytest

from jobresults.webhooks.paths import ABSENT, parse_path

PAYLOAD = {
    "ref": "refs/heads/main",
    "commits": [{"id": "a"}, {"id": "b"}],
    "n": None,
    "a-b": {"0": 1},
}
PICKED = {
    "ref": "refs/heads/main",
    "commits[1].id": "b",
    "commits": PAYLOAD["commits"],
    "n": None,
    "a-b.0": 1,
    "$": PAYLOAD,
    "=production": "production",
    "=": "",
}
MISSED = "absent ref.deeper commits[2].id commits.id ref[0] n.x"


def test_a_value_is_picked() -> None:
    assert {text: parse_path(text).pick(PAYLOAD) for text in PICKED} == PICKED


def test_what_is_not_there_is_absent() -> None:
    """Red if a text gives its characters: `ref[0]` would be "r"."""
    found = [text for text in MISSED.split() if parse_path(text).pick(PAYLOAD) is not ABSENT]
    assert found == []


def test_what_is_no_path_is_refused() -> None:
    for text in ("", ".ref", "ref.", "ref..x", "commits[]", "commits[x]", "a b", "a.$"):
        with pytest.raises(ValueError, match="is not a path like"):
            parse_path(text)
