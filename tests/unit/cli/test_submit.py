"""What `jobresults submit` asks of the service, and what it says if it gets no answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from jobresults.cli.main import main
from tests.unit.client.scripted_service import Reply, ScriptedService

JOB = {"job_id": "019a0000-0000-7000-8000-000000000000", "state": "queued"}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedService]:
    with ScriptedService() as running:
        monkeypatch.setenv("JOBRESULTS_URL", running.url)
        monkeypatch.setenv("JOBRESULTS_TOKEN", "token")
        monkeypatch.setenv("NO_PROXY", "*")
        yield running


def test_schemas_are_fetched_once_and_only_to_type_parameters(service: ScriptedService) -> None:
    service.replies(Reply(202, JOB))
    assert CliRunner().invoke(main, ["submit", "echo", "--data", "{}"]).exit_code == 0
    tasks = [{"name": "echo", "params_schema": {"properties": {"a": {"type": "string"}}}}]
    service.replies(Reply(body={"tasks": tasks}), Reply(202, JOB))
    arguments = ["submit", "echo", "-p", "a=1", "-p", "b=2"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    asked = [(request.method, request.path) for request in service.received]
    assert asked == [("POST", "/v1/jobs"), ("GET", "/v1/tasks"), ("POST", "/v1/jobs")]
    assert service.received[-1].json["params"] == {"a": "1", "b": 2}


def test_who_gets_no_answer_hears_how_to_be_sure(service: ScriptedService) -> None:
    service.replies(Reply(503, {"detail": "busy"}, {"Retry-After": "86400"}))
    result = CliRunner().invoke(main, ["submit", "echo"])
    assert result.exit_code == 7
    key = service.received[0].headers["Idempotency-Key"]
    assert f"--idempotency-key {key} " in result.stderr
