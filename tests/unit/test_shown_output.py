"""The judge of the pages: it lets pass what differs from run to run, and nothing else."""

from __future__ import annotations

import pytest

from tests.support.console_sessions import steps_in
from tests.support.shown_output import Mismatch, Reader

_ONE, _TWO = "019acd00-1001-7a00-8a00-000000000001", "019acd00-1002-7a00-8a00-000000000002"
_REAL, _OTHER = "0199f3c2-7a1b-7c3d-8e4f-0123456789ab", "0199f3c2-7a1b-7c3d-8e4f-ba9876543210"


@pytest.fixture
def reader() -> Reader:
    return Reader({"https://shop.example.com": "http://127.0.0.1:5"})


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        (
            f'{{"id": "{_ONE}", "link": "/v1/jobs/{_ONE}"}}',
            f'{{"id":"{_REAL}","link":"/v1/jobs/{_REAL}"}}',
        ),
        ('{"a": 1, …}', '{"a": 1, "b": 2}'),
        ('{"a": …}', '{"a": null}'),
        ("[1, …]", "[1, 2, 3]"),
        ('{"seconds": 0.5}', '{"seconds": 0.25}'),
        ('{"at": "2026-01-31T12:00:00.000Z"}', '{"at": "2030-02-01T00:00:00.123Z"}'),
        ('{"url": "https://shop.example.com/x"}', '{"url": "http://127.0.0.1:5/x"}'),
        ("…4 passed…", ".... [100%]\n4 passed in 0.1s\n"),
        (
            "HTTP/1.1 200 OK\nETag: …\n\n7",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nEtag: x\r\n\r\n7",
        ),
    ],
)
def test_what_may_differ_passes(reader: Reader, shown: str, came: str) -> None:
    reader.compare(shown, came)


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        (
            f'{{"id": "{_ONE}", "link": "/v1/jobs/{_ONE}"}}',
            f'{{"id":"{_REAL}","link":"/v1/jobs/{_OTHER}"}}',
        ),
        (f'{{"id": "{_ONE}"}}', '{"id": "seven"}'),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"a": 1, …}', '{"b": 2}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": null}', '{"a": 0}'),
        ("[1]", "[1, 2]"),
        ("[1, 2, …]", "[1]"),
        ('"a"', '"b"'),
        ("{}", "plain"),
        ("HTTP/1.1 200 OK", "HTTP/1.1 202 ACCEPTED\r\n\r\n"),
        ("HTTP/1.1 200 OK\nETag: x", "HTTP/1.1 200 OK\r\n\r\n"),
        ("HTTP/1.1 204 NO CONTENT", "HTTP/1.1 204 NO CONTENT\r\n\r\n{}"),
    ],
)
def test_what_may_not_differ_does_not(reader: Reader, shown: str, came: str) -> None:
    with pytest.raises(Mismatch):
        reader.compare(shown, came)


def test_later_commands_use_what_has_come(reader: Reader) -> None:
    reader.compare(f'["{_ONE}", "{_TWO}"]', f'["{_REAL}", "{_OTHER}"]')
    assert reader.filled(f"get {_TWO} {_ONE}") == f"get {_OTHER} {_REAL}"
    with pytest.raises(Mismatch):
        reader.compare(f'"{_ONE}"', f'"{_OTHER}"')


def test_commands_go_over_lines_and_have_their_output_below() -> None:
    page = """\
```console
$ one \\
    more
out

put
$ two '{
  "open": 1}'
```
<!-- during: an outage -->
```console
$ three
```
"""
    steps = [(step.command, step.shown, step.line, step.during) for step in steps_in(page)]
    assert steps == [
        ("one \\\n    more", "out\n\nput", 2, None),
        ("two '{\n  \"open\": 1}'", "", 7, None),
        ("three", "", 12, "an outage"),
    ]
