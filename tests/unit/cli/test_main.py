"""The `jobresults` command as a shell sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from jobresults.accounts.key_ring import KeyRing
from jobresults.accounts.principal import Principal, Scope
from jobresults.cli.main import COMMANDS, main
from jobresults.database import open_database
from jobresults.settings import DatabaseSettings
from tests.services.process import unmeasured


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatabaseSettings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBRESULTS_DATABASE__URL", f"sqlite:///{tmp_path}/ledger.db")
    return DatabaseSettings.model_validate({"url": f"sqlite:///{tmp_path}/ledger.db"})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_under_its_name(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


_HELP_OF_ALL = """
import sys
import click
from jobresults.cli.main import main

def print_help(words, command):
    main([*words, "--help"], prog_name="jobresults", standalone_mode=False)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            print_help([*words, name], command.get_command(context, name))

print_help([], main)
print(*sys.modules, file=sys.stderr)
"""


def test_no_help_imports_what_takes_long() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _HELP_OF_ALL],
        env=unmeasured(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.count("Usage: jobresults") > len(COMMANDS)
    heavy = {
        *(
            "alembic",
            "argon2",
            "flask",
            "gevent",
            "jwt",
            "psycopg",
            "pydantic",
            "redis",
            "requests",
        ),
        *("rich", "rq", "sentry_sdk", "slack_sdk", "sqlalchemy", "yaml"),
        # Of the standard library; each takes as long as all of our modules.
        *("asyncio", "http", "logging", "ssl", "subprocess", "unittest", "webbrowser"),
    }
    assert not heavy & set(run.stderr.split())


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["wrok"])
    assert result.exit_code == 2
    assert "No such command 'wrok'" in result.stderr


def test_a_wrong_configuration_exits_2_with_one_message(tmp_path: Path) -> None:
    environ = {name: text for name, text in os.environ.items() if "JOBRESULTS" not in name}
    run = subprocess.run(
        [sys.executable, "-m", "jobresults.cli.main", "migrate"],
        env=environ | {"JOBRESULTS_WEB__PROT": "80", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("Error: web.prot: unknown key")
    assert "did you mean web.port?" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_dependency_out_of_reach_exits_7(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBRESULTS_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none")
    result = CliRunner().invoke(main, ["migrate"])
    assert result.exit_code == 7
    assert result.stderr.startswith("Error: database: ")


def test_the_configuration_file_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBRESULTS_CONFIG", "elsewhere.yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(f"database: {{url: 'sqlite:///{tmp_path}/named.db'}}")
    assert CliRunner().invoke(main, ["--config", str(file), "migrate"]).exit_code == 0
    assert (tmp_path / "named.db").exists()
    assert os.environ["JOBRESULTS_CONFIG"] == str(file)


def test_an_issued_key_is_all_that_is_printed_and_is_accepted(ledger: DatabaseSettings) -> None:
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    result = CliRunner().invoke(main, ["api-key", "create", "--client", "shop", "--scope", "read"])
    assert result.exit_code == 0
    database = open_database(ledger)
    principal = KeyRing(database).authenticate(result.stdout.removesuffix("\n"))
    database.close()
    assert principal == Principal("shop", frozenset({Scope.READ}))


def test_every_scope_there_is_can_be_granted(ledger: DatabaseSettings) -> None:
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    scopes = [word for scope in Scope for word in ("--scope", scope.value)]
    assert CliRunner().invoke(main, ["api-key", "create", "--client", "a", *scopes]).exit_code == 0
