"""docker-compose.yaml: its services, their settings, and what they are kept from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobresults.cli.main import COMMANDS
from jobresults.configuration import load_settings
from jobresults.settings import Settings

OURS = ("web", "worker", "maintenance", "migrate")
STORES = ("redis", "postgres")
# For what a process does after its own grace: killing, recording, leaving.
MARGIN_SECONDS = 5.0


def _seconds(duration: str) -> float:
    assert duration.endswith("s")
    return float(duration.removesuffix("s"))


def test_the_services_are_the_processes_and_the_stores(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*OURS, *STORES}


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_a_command_of_the_same_name(compose: dict[str, Any], name: str) -> None:
    assert compose["services"][name]["command"] == [name]
    assert name in COMMANDS


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_set_up_for_production(
    compose: dict[str, Any], name: str, settings_from: Callable[[Mapping[str, str]], Settings]
) -> None:
    settings = settings_from(compose["services"][name]["environment"])
    assert settings.environment == "production"
    assert settings.database.url is not None
    assert settings.redis.url is not None


def test_the_image_is_named_by_the_version_of_the_project(
    compose: dict[str, Any], root: Path
) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    assert {compose["services"][name]["image"] for name in OURS} == {f"jobresults:{version}"}


@pytest.mark.parametrize("name", [*OURS, *STORES])
def test_a_container_has_no_privileges_and_a_read_only_root(
    compose: dict[str, Any], name: str
) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]


@pytest.mark.parametrize("name", STORES)
def test_a_store_is_out_of_reach_from_outside_and_keeps_its_data(
    compose: dict[str, Any], name: str
) -> None:
    service = compose["services"][name]
    assert service["networks"] == ["stores"]
    assert compose["networks"]["stores"]["internal"] is True
    assert service["user"] not in ("root", "0")
    assert service["volumes"][0].split(":")[0] in compose["volumes"]


def test_ports_are_published_on_this_machine_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    served = Settings().web.port
    assert ports == [f"127.0.0.1:{served}:{served}"]


def test_redis_forgets_nothing(compose: dict[str, Any]) -> None:
    command = compose["services"]["redis"]["command"]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_nothing_starts_before_what_it_needs(compose: dict[str, Any]) -> None:
    for name in ("web", "worker", "maintenance"):
        needed = compose["services"][name]["depends_on"]
        assert needed["migrate"]["condition"] == "service_completed_successfully"
        assert needed["redis"]["condition"] == "service_healthy"
    needed = compose["services"]["migrate"]["depends_on"]
    assert needed == {"postgres": {"condition": "service_healthy"}}


def test_only_who_serves_http_is_asked_for_its_health_by_http(compose: dict[str, Any]) -> None:
    assert "healthcheck" not in compose["services"]["web"]  # the image's
    for name in ("worker", "maintenance", "migrate"):
        assert compose["services"][name]["healthcheck"] == {"disable": True}
    for name in STORES:
        assert compose["services"][name]["healthcheck"]["test"][0] == "CMD"


def test_containers_get_longer_to_stop_than_their_processes_take(
    compose: dict[str, Any], settings_from: Callable[[Mapping[str, str]], Settings]
) -> None:
    web, worker = compose["services"]["web"], compose["services"]["worker"]
    settings = settings_from(web["environment"])
    grace_seconds = settings.web.graceful_timeout_seconds
    assert _seconds(web["stop_grace_period"]) >= grace_seconds + MARGIN_SECONDS
    settings = settings_from(worker["environment"])
    needed_seconds = settings.worker.shutdown_grace_seconds + MARGIN_SECONDS
    assert _seconds(worker["stop_grace_period"]) >= needed_seconds


def test_the_secrets_are_those_of_the_sample(
    compose: dict[str, Any], credentials: dict[str, str]
) -> None:
    assert compose["secrets"] == {name: {"file": f"secrets/{name}"} for name in credentials}
    used = {name for service in compose["services"].values() for name in service.get("secrets", ())}
    assert used == set(credentials)


def test_a_process_gets_the_secrets_it_reads_and_no_others(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        files = {value for key, value in service["environment"].items() if key.endswith("_FILE")}
        assert files == {f"/run/secrets/{secret}" for secret in service["secrets"]}, name
    assert "token_keys" in compose["services"]["web"]["secrets"]
    assert "token_keys" not in compose["services"]["worker"]["secrets"]  # nor do its tasks


def test_secrets_reach_the_settings_they_are_for(
    compose: dict[str, Any], settings_from: Callable[[Mapping[str, str]], Settings]
) -> None:
    web = settings_from(compose["services"]["web"]["environment"])
    assert [key.id for key in web.accounts.token_keys] == ["1"]
    maintenance = settings_from(compose["services"]["maintenance"]["environment"])
    assert maintenance.alerts.slack.webhook_url is not None
    assert maintenance.alerts.email.password is not None
    for name in ("web", "worker", "maintenance"):
        assert settings_from(compose["services"][name]["environment"]).sentry.dsn is not None


def test_the_sample_credentials_fit_the_servers(
    compose: dict[str, Any],
    credentials: dict[str, str],
    settings_from: Callable[[Mapping[str, str]], Settings],
) -> None:
    postgres = compose["services"]["postgres"]["environment"]
    user, database = postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]
    password = credentials["postgres_password"]
    assert credentials["database_url"] == f"postgresql://{user}:{password}@postgres:5432/{database}"
    assert credentials["redis_url"] == "redis://redis:6379/0"


def test_the_command_for_the_secrets_makes_files_the_settings_can_be_read_from(
    root: Path, tmp_path: Path, compose: dict[str, Any], credentials: dict[str, str]
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "credentials.json").write_text(json.dumps(credentials))
    header = (root / "docker-compose.yaml").read_text()
    code = re.search(r"^# +python3 -c '(.+)'$", header, re.M)
    assert code is not None
    subprocess.run([sys.executable, "-c", code[1]], cwd=tmp_path, check=True)
    environment = {
        variable: value.replace("/run/secrets", str(tmp_path / "secrets"))
        for variable, value in compose["services"]["web"]["environment"].items()
    }
    settings = load_settings(root / "config.yaml", environment)
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == credentials["database_url"]
    assert (settings.accounts.token_keys, settings.sentry.dsn) == ((), None)  # left empty
