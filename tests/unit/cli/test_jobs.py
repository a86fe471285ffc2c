"""Which service the job commands call, as whom, and what its failures exit with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobresults.cli.main import main
from tests.unit.client.scripted_service import Reply, ScriptedService


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    with ScriptedService() as running:
        running.replies(Reply(body={"state": "queued"}))
        yield running


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path


@pytest.fixture
def local_service(directory: Path, service: ScriptedService) -> ScriptedService:
    """One that `jobresults up` seems to run in this directory."""
    (directory / ".jobresults").mkdir()
    (directory / ".jobresults" / "url").write_text(f"{service.url}\n")
    (directory / ".jobresults" / "api-key").write_text("local-key\n")
    return service


def get() -> Result:
    return CliRunner().invoke(main, ["get", "019a0000-0000-7000-8000-000000000000"])


def test_what_runs_in_this_directory_is_called_with_its_key(local_service: ScriptedService) -> None:
    assert get().exit_code == 0
    assert local_service.received[0].headers["Authorization"] == "Bearer local-key"


@pytest.mark.parametrize("variable", ["JOBRESULTS_TOKEN", "JOBRESULTS_TOKEN_FILE"])
def test_another_token_comes_first(
    local_service: ScriptedService, variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("another")
    monkeypatch.setenv(variable, "token" if variable.endswith("FILE") else "another")
    assert get().exit_code == 0
    assert local_service.received[0].headers["Authorization"] == "Bearer another"


def test_another_url_comes_first(
    local_service: ScriptedService, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / ".jobresults" / "url").write_text("http://127.0.0.1:1\n")
    monkeypatch.setenv("JOBRESULTS_URL", local_service.url)
    assert get().exit_code == 0
    assert local_service.received[0].headers["Authorization"] == "Bearer local-key"


def test_the_local_key_never_leaves_this_machine(
    local_service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 127.1 leads here too, but is none of the names that are known to.
    monkeypatch.setenv("JOBRESULTS_URL", local_service.url.replace("127.0.0.1", "127.1"))
    assert get().exit_code == 0
    assert "Authorization" not in local_service.received[0].headers


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "invalid_request", 1),
        (401, "unauthenticated", 4),
        (403, "forbidden", 4),
        (404, "not_found", 6),
        (410, "result_expired", 6),
        (424, "job_failed", 3),
        (424, "job_canceled", 3),
        (500, "internal_error", 1),
        (503, "unavailable", 7),
    ],
)
def test_a_failure_is_told_and_has_its_exit_code(
    local_service: ScriptedService, status: int, code: str, exit_code: int
) -> None:
    later_than_anyone_waits = {"Retry-After": "86400"}
    problem = {"code": code, "detail": "so it is"}
    local_service.replies(Reply(status, problem, later_than_anyone_waits))
    result = get()
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr.startswith("Error: so it is")


def test_a_service_out_of_reach_is_told_before_every_retry(
    local_service: ScriptedService, caplog: pytest.LogCaptureFixture
) -> None:
    local_service.replies(Reply(503, {"detail": "busy"}, {"Retry-After": "0"}), Reply(body={}))
    with caplog.at_level(logging.INFO):
        assert get().exit_code == 0
    assert "trying again in" in caplog.text
