"""Which service commands call, and which token they bring there: never one of another service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobresults.cli.connection import chosen_service
from jobresults.cli.credential_file import Login, changed_credentials, location
from jobresults.cli.main import main
from tests.unit.client.scripted_service import Reply, ScriptedService


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, and no logins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("JOBRESULTS_URL", "")  # --url sets it
    return tmp_path


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    with ScriptedService() as running:
        running.replies(Reply(body={"workers": []}))
        yield running


@pytest.fixture
def other() -> Iterator[ScriptedService]:
    with ScriptedService() as running:
        running.replies(Reply(body={"workers": []}))
        yield running


def run_up(directory: Path, service: ScriptedService) -> None:
    """Let `jobresults up` seem to run here."""
    (directory / ".jobresults").mkdir()
    (directory / ".jobresults/url").write_text(service.url)
    (directory / ".jobresults/api-key").write_text("local-key\n")


def log_in(service: ScriptedService, token: str = "of-login") -> None:
    with changed_credentials() as credentials:
        credentials.add(service.url, Login(token))


def workers(*options: str) -> Result:
    return CliRunner().invoke(main, [*options, "workers"])


def tokens(service: ScriptedService) -> list[str | None]:
    return [request.headers.get("Authorization") for request in service.received]


def test_the_service_of_the_newest_login_is_called_with_its_token(
    service: ScriptedService, other: ScriptedService
) -> None:
    log_in(other, "of-other")
    log_in(service)
    assert workers().exit_code == 0
    assert (tokens(service), tokens(other)) == (["Bearer of-login"], [])


def test_a_token_goes_to_the_service_it_was_made_for_alone(
    service: ScriptedService, other: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(service)
    assert workers("--url", other.url).exit_code == 0
    monkeypatch.setenv("JOBRESULTS_URL", f"{service.url}/elsewhere")
    assert workers().exit_code == 0
    monkeypatch.setenv("JOBRESULTS_URL", service.url)
    assert workers().exit_code == 0
    assert tokens(other) == [None]
    assert tokens(service) == [None, "Bearer of-login"]


def test_what_runs_here_goes_before_a_login_elsewhere(
    service: ScriptedService, other: ScriptedService, directory: Path
) -> None:
    log_in(other)
    run_up(directory, service)
    assert workers().exit_code == 0
    log_in(service)
    assert workers().exit_code == 0
    assert (tokens(service), tokens(other)) == (["Bearer local-key", "Bearer of-login"], [])


def test_what_runs_here_is_found_where_the_environment_says(
    service: ScriptedService, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_up(directory, service)
    (directory / ".jobresults").rename(directory / "elsewhere")
    monkeypatch.setenv("JOBRESULTS_DATA_DIR", "elsewhere")
    assert workers().exit_code == 0
    assert tokens(service) == ["Bearer local-key"]


@pytest.mark.parametrize("url", ["http://192.0.2.1:8000", "http://name.invalid", "http://[", "x"])
def test_a_directory_of_somebody_else_leads_no_token_elsewhere(
    directory: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    (directory / ".jobresults").mkdir()
    (directory / ".jobresults/url").write_text(url)
    monkeypatch.setenv("JOBRESULTS_TOKEN", "of-environment")
    assert chosen_service().url == "http://127.0.0.1:8000"


def test_another_address_of_this_machine_is_as_good(directory: Path) -> None:
    (directory / ".jobresults").mkdir()
    (directory / ".jobresults/url").write_text("http://127.0.0.2:8000\n")
    (directory / ".jobresults/api-key").write_text("local-key\n")
    chosen = chosen_service()
    assert (chosen.url, chosen.token) == ("http://127.0.0.2:8000", "local-key")


def test_the_environments_token_goes_before_all(
    service: ScriptedService, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_up(directory, service)
    log_in(service)
    monkeypatch.setenv("JOBRESULTS_TOKEN", "of-environment")
    assert workers().exit_code == 0
    assert tokens(service) == ["Bearer of-environment"]


@pytest.mark.parametrize(
    ("origin", "advice"),
    [
        ("environment", "mend or unset JOBRESULTS_TOKEN"),
        ("login", "the login is over; again: jobresults login http://127.0.0.1:"),
        ("up", "is not known there; jobresults login http://127.0.0.1:"),
        ("nowhere", "jobresults login http://127.0.0.1:"),
    ],
)
def test_a_token_that_is_not_accepted_exits_4_and_tells_what_helps(
    service: ScriptedService,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    origin: str,
    advice: str,
) -> None:
    if origin == "environment":
        monkeypatch.setenv("JOBRESULTS_TOKEN", "x")
    elif origin == "up":
        run_up(directory, service)
    elif origin == "login":
        log_in(service)
    service.replies(Reply(401, {"detail": "who are you?"}))
    result = workers("--url", service.url)
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith("Error: who are you?")
    assert advice in result.stderr.splitlines()[1]


def test_a_missing_right_is_not_mended_by_logging_in(service: ScriptedService) -> None:
    service.replies(Reply(403, {"detail": "lacks the scope 'operate'"}))
    result = workers("--url", service.url)
    assert (result.exit_code, "login" in result.stderr) == (4, False)


def test_a_credential_file_that_others_can_read_stops_what_needs_it(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(service)
    location().chmod(0o644)
    result = workers()
    assert (result.exit_code, result.stdout) == (4, "")
    assert "others can read it (mode 0644)" in result.stderr
    monkeypatch.setenv("JOBRESULTS_TOKEN", "of-environment")
    assert workers("--url", service.url).exit_code == 0, "nothing of it is needed"


def test_a_wrong_url_is_told(service: ScriptedService) -> None:
    result = workers("--url", "ftp://x")
    assert (result.exit_code, "is not the URL of a service" in result.stderr) == (1, True)
