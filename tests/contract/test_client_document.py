"""What docs/client.md shows runs, in its order, and it names all there is."""

from __future__ import annotations

import inspect
import re
import time
from pathlib import Path
from typing import Any

import pytest

import jobresults.client
from jobresults import Client
from jobresults.client import JobHandle, exchange, job_handle, retry
from jobresults.webhooks import signatures
from tests.services.stack import Stack

FILE = Path(__file__).parents[2] / "docs/client.md"
DOCUMENT = FILE.read_text()


def run_all(namespace: dict[str, Any]) -> None:
    """Every block of Python, with the document's own line numbers."""
    for block in re.finditer(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL):
        above = DOCUMENT[: block.start(1)].count("\n")
        exec(compile("\n" * above + block[1], str(FILE), "exec"), namespace)


def test_every_example_runs(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOBRESULTS_URL", stack.url)
    monkeypatch.setenv("JOBRESULTS_TOKEN", stack.operator_key)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    namespace: dict[str, Any] = {}
    run_all(namespace)
    printed = capsys.readouterr().out
    for words in ("canceled", "refused", "params.messages[0].sender", "True"):
        assert words in printed
    body = b'{"type": "job.succeeded", "data": {"job_id": "j1"}}'
    timestamp = str(int(time.time()))
    keys = [signatures.key_of(secret) for secret in namespace["SECRETS"]]
    headers = {
        "webhook-id": "1",
        "webhook-timestamp": timestamp,
        "webhook-signature": signatures.sign(keys, "1", timestamp, body),
    }
    assert namespace["receive"](headers, body) == 204
    assert namespace["receive"](headers, body + b" ") == 400


def test_every_name_is_explained() -> None:
    names = {name for kind in (Client, JobHandle) for name in dir(kind) if name[0] != "_"}
    names |= set(inspect.signature(Client.submit).parameters) - {"self"}
    names |= set(jobresults.client.__all__)
    assert {name for name in names if not re.search(rf"\b{name}\b", DOCUMENT)} == set()


def test_the_numbers_told_are_those_of_the_code() -> None:
    told = DOCUMENT.partition("## Retries and deadlines")[2]
    for words in (
        f"ends {exchange.LEAST_SECONDS:g} s after the deadline",
        f"a connection has {exchange._CONNECT_SECONDS:g} s to come about",
        f"{exchange._ANSWER_SECONDS:g} s of silence",
        f"up to {retry._FIRST_CEILING_SECONDS:g}, 1, 2, 4, then {retry._LAST_CEILING_SECONDS:g} s",
        f"requests of up to {job_handle._POLL_SECONDS:g} s",
        f"With `on_progress` it is {job_handle._PROGRESS_SECONDS:g} s",
    ):
        assert words in told
