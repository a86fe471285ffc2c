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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ref", "refs/heads/main"),
        ("commits[1].id", "b"),
        ("commits", PAYLOAD["commits"]),
        ("n", None),
        ("a-b.0", 1),
        ("$", PAYLOAD),
        ("=production", "production"),
        ("=", ""),
        ("absent", ABSENT),
        ("ref.deeper", ABSENT),
        ("commits[2].id", ABSENT),
        ("commits.id", ABSENT),
        ("ref[0]", ABSENT),
        ("n.x", ABSENT),
    ],
)
def test_a_value_is_picked(text: str, value: object) -> None:
    assert parse_path(text).pick(PAYLOAD) == value


@pytest.mark.parametrize(
    "text", ["", ".ref", "ref.", "ref..x", "commits[]", "commits[x]", "a b", "a.$"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path like"):
        parse_path(text)
