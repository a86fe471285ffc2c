"""Logging in and out at a terminal, against the running service."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from jobresults.accounts.tokens import Tokens
from jobresults.cli.credential_file import Login, changed_credentials, location, read_credentials
from jobresults.settings import AccountsSettings
from tests.e2e.up_process import COMMAND
from tests.services.stack import TOKEN_SECRET, Stack
from tests.support.terminal import CTRL_C, Terminal

PASSWORD = "correct horse battery"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command to its end, away from any terminal."""

    def run(*arguments: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env={**os.environ, **environ},
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def ann(stack: Stack) -> str:
    """The name of a person with an account."""
    name = f"ann-{secrets.token_hex(4)}"
    body = {"name": name, "password": PASSWORD, "role": "operator"}
    assert stack.request("POST", "/user/", key=stack.operator_key, json=body).status_code == 201
    return name


def at_terminal(directory: Path, *arguments: str) -> Terminal:
    return Terminal([*COMMAND, *arguments], directory, os.environ)


def test_a_person_logs_in_is_known_and_logs_out(
    stack: Stack, ann: str, run: Run, tmp_path: Path
) -> None:
    with at_terminal(tmp_path, "login", stack.url) as terminal:
        terminal.shows("Name: ")
        terminal.types(f"{ann}\n")
        terminal.shows("Password: ")
        terminal.types(f"{PASSWORD}\n")
        assert terminal.end() == 0, terminal.text
    assert f"Logged in to {stack.url} as user:{ann} until 20" in terminal.text
    assert PASSWORD not in terminal.shown, "it is not echoed"
    assert location().stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in location().read_text()

    who = json.loads(run("whoami").stdout)
    assert (who["service"], who["client"], who["token_from"]) == (stack.url, f"user:{ann}", "login")
    assert who["scopes"] == ["cancel", "operate", "read", "submit"]
    assert who["expires_at"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with at_terminal(tmp_path, "whoami") as terminal:
        assert terminal.end() == 0
    assert "token from" in terminal.text

    login = read_credentials().at(stack.url)
    assert login is not None
    done = run("logout")
    assert (done.returncode, done.stdout) == (0, "")
    assert read_credentials().logins == {}
    assert stack.request("GET", "/v1/whoami", key=login.token).status_code == 401, "revoked"
    again = run("logout", stack.url)
    assert (again.returncode, "there is no login at" in again.stderr) == (1, True)


def test_a_wrong_password_exits_4_and_keeps_nothing(stack: Stack, ann: str, tmp_path: Path) -> None:
    with at_terminal(tmp_path, "login", stack.url, "--name", ann) as terminal:
        terminal.shows("Password: ")
        terminal.types("wrong\n")
        assert terminal.end() == 4
    assert "wrong name or password" in terminal.text
    assert not location().exists()


def test_ctrl_c_at_a_prompt_exits_130(tmp_path: Path) -> None:
    for keys, code in ((CTRL_C, 130), ("\x04", 1)):
        with at_terminal(tmp_path, "login", "http://127.0.0.1:1") as terminal:
            terminal.shows("Name: ")
            terminal.types(keys)
            assert terminal.end() == code, terminal.text


def test_a_login_that_is_over_exits_4_and_says_how_to_go_on(stack: Stack, run: Run) -> None:
    signer = Tokens(
        AccountsSettings.model_validate({"token_keys": [{"id": "tests", "secret": TOKEN_SECRET}]})
    )
    claims = jwt.decode(signer.issue(1, 0).text, options={"verify_signature": False})
    claims["exp"] = int(time.time()) - 60
    token = jwt.encode(claims, TOKEN_SECRET, "HS256", headers={"kid": "tests"})
    with changed_credentials() as credentials:
        credentials.add(stack.url, Login(token))
    done = run("whoami")
    assert (done.returncode, done.stdout) == (4, "")
    assert f"jobresults login {stack.url}" in done.stderr
    assert run("logout").returncode == 0, "it can be forgotten all the same"
    assert read_credentials().logins == {}


def test_an_api_key_comes_from_standard_input(stack: Stack, run: Run) -> None:
    done = run("login", stack.url, "--with-token", text=f"{stack.operator_key}\n")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert stack.operator_key not in done.stderr
    found = [json.loads(line) for line in run("workers").stdout.splitlines()]
    assert {worker["state"] for worker in found} <= {"busy", "idle"}
    assert found
    other = run("whoami", JOBRESULTS_TOKEN=stack.key)
    assert json.loads(other.stdout)["client"] == "acme", "the environment goes before"
    assert run("logout").returncode == 0
    assert stack.request("GET", "/v1/whoami", key=stack.operator_key).status_code == 200


@pytest.mark.parametrize(("text", "code"), [("jr_wrong\n", 4), ("", 1), ("a b\n", 1), ("ä\n", 1)])
def test_a_token_that_is_none_is_not_kept(stack: Stack, run: Run, text: str, code: int) -> None:
    done = run("login", stack.url, "--with-token", text=text, JOBRESULTS_TOKEN=stack.key)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert not location().exists()


def test_a_service_out_of_reach_exits_7_and_its_login_is_forgotten(run: Run) -> None:
    url = "http://127.0.0.1:1"
    with changed_credentials() as credentials:
        credentials.add(url, Login("a.b.c", "user:ann", "2099-01-01T00:00:00Z"))
    done = run("logout")
    assert done.returncode == 7
    assert "forgotten here, yet not revoked: good until 2099-01-01T00:00:00Z" in done.stderr
    assert read_credentials().logins == {}


def test_who_will_not_be_called_is_told(stack: Stack, run: Run) -> None:
    done = run("login", stack.url, "--with-token", text=stack.key, JOBRESULTS_URL="http://other:1")
    assert f"for this one: jobresults --url {stack.url}" in done.stderr
    done = run("login", stack.url, "--with-token", text=stack.key, JOBRESULTS_TOKEN=stack.key)
    assert "The token of the environment goes before" in done.stderr
