"""The service that the pages tell of: `jobresults up`, with the pages' own files beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.up_process import Up, running_up
from tests.services.process import unmeasured
from tests.services.receiver import Receiver, Reply, running_receiver
from tests.support.documented_shell import Shell

ROOT = Path(__file__).parents[2]
TASKS, HTTP, README = ROOT / "docs/tasks.md", ROOT / "docs/http.md", ROOT / "README.md"
_FILE = re.compile(
    r"^```\w+\n# (?P<name>[\w.]+)(?P<more>, continued)?\n(?P<text>.*?)^```", re.M | re.S
)
# The pages do not wait for what takes its time in production.
_QUICK = {
    "JOBRESULTS_CALLBACKS__POLL_SECONDS": "0.05",
    "JOBRESULTS_DATABASE__LOCK_TIMEOUT_SECONDS": "1",
    "JOBRESULTS_JOBS__RETRY_BASE_SECONDS": "0.2",
    "JOBRESULTS_WEB__WORKERS": "1",  # several let some more through before they know of each other
}
_PROGRAMS = ("bash", "curl", "gzip", "openssl")
PAYMENTS_KEY = "the shop's key"


def files_in(page: Path) -> dict[str, str]:
    """The files a page shows, by the names in their first lines; what continues one is joined."""
    found: dict[str, str] = {}
    for block in _FILE.finditer(page.read_text()):
        assert bool(block["more"]) == (block["name"] in found), block[0]
        found[block["name"]] = found.get(block["name"], "") + block["text"]
    return found


def _charged(order: str) -> Reply:
    return Reply(201, body=json.dumps({"charge": f"ch-{order}"}).encode())


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Whom the pages' jobs call: a payment service, and a shop that is told of their ends."""
    with running_receiver() as running:
        busy, declined = Reply(503), Reply(402)
        for order, replies in {
            "1001": (_charged("1001"),),
            "1002": (declined,),
            "1003": (busy, _charged("1003")),
            "1004": (busy, _charged("1004")),
        }.items():
            running.script(f"/orders/{order}/charges", *replies)
        yield running


@pytest.fixture(scope="module")
def up(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The service in a directory that has what a reader of the pages would put there."""
    directory = tmp_path_factory.mktemp("documents")
    for name, text in {**files_in(TASKS), **files_in(HTTP)}.items():
        (directory / name).write_text(text)
    (directory / "examples").symlink_to(ROOT / "examples")
    (directory / ".jobresults").symlink_to("data")
    environ = {
        **_QUICK,
        "PYTHONPATH": str(directory),
        "PAYMENTS_URL": receiver.url(""),
        "PAYMENTS_KEY": PAYMENTS_KEY,
        "JOBRESULTS_CALLBACKS__ALLOW_HTTP": "true",
        "JOBRESULTS_CALLBACKS__ALLOWED_PORTS": json.dumps([receiver.port]),
        "JOBRESULTS_CALLBACKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }
    with running_up(directory, **environ) as running:
        yield running


@pytest.fixture
def shell(up: Up, receiver: Receiver) -> Shell:
    """A reader's shell in that directory."""
    if absent := [program for program in _PROGRAMS if shutil.which(program) is None]:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"needs programs of the pages: apt-get install {' '.join(absent)}")
    directory = up.data.parent
    path = f"{Path(sys.executable).parent}:{unmeasured()['PATH']}"
    given = {"https://shop.example.com": receiver.url(""), "http://127.0.0.1:8000": up.url}
    during = {"another process holds the ledger": lambda: _held(up.data / "ledger.db")}
    environ = unmeasured(PATH=path, PYTHONPATH=str(directory), NO_PROXY="*", NO_COLOR="1")
    return Shell(directory, environ, given, during)


@contextmanager
def _held(ledger: Path) -> Iterator[None]:
    """The ledger's one writer is somebody else."""
    with sqlite3.connect(ledger, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
    other.close()
