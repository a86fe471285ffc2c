"""`make secrets`: what it makes can be started with, and what is there stays."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from jobresults.configuration import load_settings
from tests.services.redis_server import RedisServer
from tests.unit.deployment.rules.rule import PROCESSES

FORBIDDEN = ("GET a", "LLEN rq:queue:default", "CONFIG GET *", "INFO")


def _make(root: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "deployment/make_secrets.py", directory]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def made(root: Path, tmp_path: Path) -> dict[str, str]:
    done = _make(root, tmp_path)
    assert done.returncode == 0, done.stderr
    return {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}


def test_there_is_a_file_for_each_secret_with_passwords_of_its_own(
    made: dict[str, str], credentials: dict[str, str], tmp_path: Path
) -> None:
    assert set(made) == {*credentials, "redis_users"}
    assert not any("change-me" in text for text in made.values())
    assert f":{made['postgres_password']}@" in made["database_url"]
    for name in PROCESSES:
        (password,) = re.findall(rf"^user {name} on >(\S+)", made["redis_users"], re.M)
        assert f"//{name}:{password}@" in made[f"redis_url_{name}"]
    assert len({made["postgres_password"], made["signing_key"], made["grafana_password"]}) == 3
    variables = {
        "JOBRESULTS_ACCOUNTS__TOKEN_KEYS_FILE": str(tmp_path / "secrets/token_keys"),
        "JOBRESULTS_ALERTS__LINKS__SIGNING_KEY_FILE": str(tmp_path / "secrets/signing_key"),
        "JOBRESULTS_SENTRY__DSN_FILE": str(tmp_path / "secrets/sentry_dsn"),
    }
    settings = load_settings("config.yaml", variables)
    assert len(settings.accounts.token_keys) == 1
    assert settings.sentry.dsn is None


def test_only_whoever_may_enter_the_folder_reads_them(made: dict[str, str], tmp_path: Path) -> None:
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()}
    assert modes == {0o444}


def test_what_is_there_stays_and_what_shares_its_password_is_not_made_anew(
    made: dict[str, str], root: Path, tmp_path: Path
) -> None:
    (tmp_path / "secrets/signing_key").unlink()
    assert _make(root, tmp_path).returncode == 0
    assert (tmp_path / "secrets/signing_key").read_text() != made["signing_key"]
    assert (tmp_path / "secrets/database_url").read_text() == made["database_url"]
    (tmp_path / "secrets/postgres_password").unlink()
    refused = _make(root, tmp_path)
    assert refused.returncode == 1
    assert "secrets/database_url holds a password" in refused.stderr
    (tmp_path / "credentials.json").write_text(json.dumps({"postgres_password": "theirs"}))
    assert _make(root, tmp_path).returncode == 0
    assert (tmp_path / "secrets/postgres_password").read_text() == "theirs"


def test_redis_starts_as_it_is_set_up_and_knows_its_users(
    made: dict[str, str],
    root: Path,
    tmp_path: Path,
    start_redis: Callable[..., RedisServer],
) -> None:
    """The file both Kubernetes and the containers use, but for its paths."""
    text = (root / "k8s/components/redis/redis.conf").read_text()
    lines = dict(line.split(" ", 1) for line in text.splitlines() if line and line[0] != "#")
    assert lines.pop("aclfile").endswith("/redis_users")
    assert lines.pop("dir") == "/data"
    lines.pop("save")  # several pairs in a line are Redis 7's
    users = tmp_path / "users"
    text = made["redis_users"].replace("+client|setinfo ", "")  # Redis 7.2's
    options = [word for key, value in lines.items() for word in (f"--{key}", value)]
    # The fixture's own way in is the default user's.
    users.write_text(text.replace("user default off", "user default on nopass ~* &* +@all"))
    server = start_redis(*options, "--aclfile", str(users))
    path = server.url.removeprefix("unix://")
    health = redis.Redis(unix_socket_path=path, username="health", password="health")
    with health, server.client() as admin:
        assert health.ping()
        for command in FORBIDDEN:
            with pytest.raises(redis.exceptions.NoPermissionError):
                health.execute_command(*command.split())
        assert admin.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert admin.config_get("appendonly") == {"appendonly": "yes"}
    password = re.findall(r"^user web on >(\S+)", made["redis_users"], re.M)[0]
    with redis.Redis(unix_socket_path=path, username="web", password=password) as web:
        assert web.lpush("rq:queue:default", "x") == 1
