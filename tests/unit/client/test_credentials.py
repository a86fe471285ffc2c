from __future__ import annotations

from pathlib import Path

import pytest

from jobresults import Client
from jobresults.client import ClientError, credentials
from tests.unit.client.scripted_service import Reply, ScriptedService


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("from-file\n")
    return path


def test_the_argument_comes_first_then_the_variable_then_the_file(
    monkeypatch: pytest.MonkeyPatch, token_file: Path
) -> None:
    assert credentials.token(None) is None
    monkeypatch.setenv("JOBRESULTS_TOKEN_FILE", str(token_file))
    assert credentials.token(None) == "from-file"
    monkeypatch.setenv("JOBRESULTS_TOKEN", "from-variable")
    assert credentials.token(None) == "from-variable"
    assert credentials.token("from-argument") == "from-argument"


def test_empty_variables_are_as_good_as_none(
    monkeypatch: pytest.MonkeyPatch, token_file: Path
) -> None:
    monkeypatch.setenv("JOBRESULTS_URL", "")
    monkeypatch.setenv("JOBRESULTS_TOKEN", "")
    monkeypatch.setenv("JOBRESULTS_TOKEN_FILE", str(token_file))
    assert credentials.base_url(None) == "http://127.0.0.1:8000"
    assert credentials.token(None) == "from-file"
    monkeypatch.setenv("JOBRESULTS_TOKEN_FILE", "")
    assert credentials.token(None) is None


def test_url_and_token_of_the_environment_are_sent(
    monkeypatch: pytest.MonkeyPatch, service: ScriptedService
) -> None:
    monkeypatch.setenv("JOBRESULTS_URL", f"{service.url}/")
    monkeypatch.setenv("JOBRESULTS_TOKEN", "from-variable")
    service.replies(Reply(200, {}))
    with Client() as client:
        client.status()
    assert service.received[0].headers["Authorization"] == "Bearer from-variable"


def test_the_argument_wins_over_the_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBRESULTS_URL", "http://elsewhere.example")
    assert credentials.base_url("https://here.example/jobs/") == "https://here.example/jobs"


def test_a_token_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setenv("JOBRESULTS_TOKEN_FILE", str(missing))
    with pytest.raises(ClientError, match=f"JOBRESULTS_TOKEN_FILE: cannot read {missing}"):
        Client()


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "schlüssel", "tab\t."])
def test_a_token_no_header_can_carry_is_refused_untold(token: str) -> None:
    with pytest.raises(ClientError, match="no HTTP header can carry") as caught:
        Client(token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://host",
        "http://",
        "http://host:many",
        "/x",
        "http://h?a=b",
        "http://h#a",
    ],
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="is not the URL of a service"):
        Client(url)


@pytest.mark.parametrize("url", ["https://eve:hunter2@host", "https://hunter2@host/path"])
def test_a_base_url_with_a_secret_is_refused_untold(url: str) -> None:
    with pytest.raises(ClientError, match="the token says who calls") as caught:
        Client(url)
    assert "hunter2" not in str(caught.value)
