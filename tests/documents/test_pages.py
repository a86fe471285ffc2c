"""Pages whose every command is run against the service, each output compared with what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from jobresults.web.app import ROUTES
from tests.documents.conftest import HTTP, PAYMENTS_KEY, README, TASKS, files_in
from tests.e2e.up_process import Up
from tests.services.receiver import Receiver
from tests.support.console_sessions import steps_in
from tests.support.documented_shell import Shell

_REQUEST = re.compile(r"\$(?:JOBS|LINK)(?P<path>/[^\s\"'?]*)?")
# What only an outage, a race or a fault of ours answers: shown by the tests of the contract.
_NOT_SHOWN = {"408", "500"}


@pytest.mark.parametrize("page", [README, TASKS, HTTP], ids=lambda page: page.name)
def test_every_command_does_what_the_page_shows(page: Path, shell: Shell) -> None:
    assert shell.run_page(page) > 3


def test_a_task_that_starts_again_sends_the_same_key(up: Up, receiver: Receiver) -> None:
    """What `tasks.md` says of `charge`."""
    body = {"task": "charge", "params": {"order": "1004", "cents": 1}}
    answer = up.request("POST", "/v1/jobs", json=body, headers={"Prefer": "wait=30"})
    assert answer.json()["attempt"] == 2, answer.text
    first, second = receiver.at("/orders/1004/charges")
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.headers["Authorization"] == f"Bearer {PAYMENTS_KEY}"


def test_the_configuration_of_one_page_is_part_of_the_others() -> None:
    small, large = (yaml.safe_load(files_in(page)["config.yaml"]) for page in (TASKS, HTTP))
    assert small.items() <= large.items()


def shown() -> set[tuple[str, str, str]]:
    """Method, rule and status of each request on the page of the HTTP interface."""
    found = set()
    for step in steps_in(HTTP.read_text()):
        request = _REQUEST.search(step.command)
        status = re.match(r"HTTP/1.1 (\d+)", step.shown)
        if request is None or status is None:
            continue
        method = re.search(r"-X ([A-Z]+)", step.command)
        posts = re.search(r" (-d|--data-binary) ", step.command)
        path = request["path"] or "/v1/silence-link"
        found.add((method[1] if method else "POST" if posts else "GET", path, status[1]))
    return found


def test_every_route_is_shown_with_each_answer_that_is_no_problem() -> None:
    requests = shown()
    missing = []
    for route in ROUTES:
        rule = re.compile(re.sub(r"<(path:)?\w+>", "[^/]+", route.path))
        statuses = {
            int(status)
            for method, path, status in requests
            if method == route.method and rule.fullmatch(path)
        }
        wanted = {status for status in route.answers if status < 400}
        if not wanted <= statuses:
            missing.append((route.method, route.path, wanted - statuses))
    assert not missing


def test_every_status_of_its_tables_is_shown() -> None:
    named = set(re.findall(r"^\| .*?\b([1-5]\d\d)\b", HTTP.read_text(), re.MULTILINE))
    assert named - {status for _, _, status in shown()} <= _NOT_SHOWN
