"""What docs/webhooks.md shows is what is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from jobresults.settings import CallbacksSettings, WebhookSource
from jobresults.webhooks import signatures

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/webhooks.md").read_text()
UNITS = {"s": 1, "min": 60, "h": 3_600}


def block(language: str, word: str) -> str:
    """The one block of code that has the word in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    (found,) = (text for text in blocks if word in text)
    return str(found)


def test_the_openssl_command_gives_the_signature(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    secret, body, timestamp = signatures.new_secret(), b'{"a": "\xc3\xbc"}\n', str(int(time.time()))
    (tmp_path / "body").write_bytes(body)
    variables = {"SECRET": secret, "WEBHOOK_ID": "1", "WEBHOOK_TIMESTAMP": timestamp}
    done = subprocess.run(
        ["bash", "-euc", block("sh", "hexkey")],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    signature = signatures.sign([signatures.key_of(secret)], "1", timestamp, body)
    assert f"v1,{done.stdout.strip()}" == signature


def test_the_table_of_pauses_is_the_schedule() -> None:
    (row,) = re.findall(r"\| pause before it \| none \|(.*)\|", DOCUMENT)
    cells = [cell.split() for cell in row.split("|")]
    assert [float(n) * UNITS[unit] for n, unit in cells] == list(CallbacksSettings().retry_seconds)


def test_the_example_is_the_file() -> None:
    file = yaml.safe_load((ROOT / "examples/deploy_on_push.yaml").read_text())
    assert yaml.safe_load(block("yaml", "deploy-on-push"))["webhooks"] == file["webhooks"]


def test_every_key_of_a_source_is_described() -> None:
    described = set()
    for row in re.findall(r"^\| (`[a-z_0-9`, ]+) \|", DOCUMENT, re.MULTILINE):
        described |= set(re.findall(r"`([a-z_0-9]+)`", row))
    assert set(WebhookSource.model_fields) <= described
