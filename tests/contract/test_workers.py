"""Who is at work, and who calls: `GET /v1/workers`, `GET /v1/whoami`."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from jobresults.telemetry import identity
from tests.services.process import eventually
from tests.services.stack import Stack
from tests.services.stacks import on_both_databases


def workers(stack: Stack) -> list[dict[str, Any]]:
    answer = stack.request("GET", "/v1/workers", key=stack.operator_key)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["workers"])


@on_both_databases
def test_operators_see_who_works_on_what(stack: Stack, gate: Path) -> None:
    job_id = stack.running(gate)
    busy = [worker for worker in workers(stack) if job_id in worker["job_ids"]]
    assert len(busy) == 1
    worker = busy[0]
    assert (worker["state"], worker["host"]) == ("busy", socket.gethostname())
    assert worker["version"] == identity.version()
    assert worker["queues"] == ["default"]
    assert worker["started_at"] <= worker["last_seen_at"]
    gate.touch()
    stack.ended(job_id)

    def idle() -> bool:
        return all(it["state"] == "idle" and not it["job_ids"] for it in workers(stack))

    eventually(idle, "all are idle")
    count = sum(name.startswith("worker") for name in stack.processes)
    assert len({it["name"] for it in workers(stack)}) == count


def test_a_caller_is_told_who_it_is(stack: Stack) -> None:
    answer = stack.request("GET", "/v1/whoami")
    assert answer.json() == {
        "client": "acme",
        "user_id": None,
        "scopes": ["cancel", "read", "submit"],
        "customers": None,
        "requests_per_second": None,
    }


def test_the_command_prints_them(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stack._environ, "JOBRESULTS_URL", stack.url)
    monkeypatch.setitem(stack._environ, "JOBRESULTS_TOKEN", stack.operator_key)
    names = {json.loads(line)["name"] for line in stack.command("workers").splitlines()}
    assert names == {worker["name"] for worker in workers(stack)}
    table = stack.command("workers", "-o", "table").splitlines()
    assert table[0].split() == ["worker", "state", "version", "queues", "started", "seen", "jobs"]
    assert len(table) == len(names) + 1
