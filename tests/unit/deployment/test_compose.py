"""docker-compose.yaml: its services, their settings, and what they are kept from."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from jobresults.cli.main import COMMANDS
from jobresults.settings import Settings
from jobresults.telemetry.metrics_server import LIVE_PATH

OURS = ("web", "worker", "maintenance", "migrate")
STORES = ("redis", "postgres")
PROFILES = {"mail": {"mailpit"}, "monitoring": {"prometheus", "alertmanager", "grafana"}}
OTHERS = ("nginx", *STORES, *sorted(name for names in PROFILES.values() for name in names))
# For what a process does after its own grace: killing, recording, leaving.
MARGIN_SECONDS = 5.0

SettingsFrom = Callable[[Mapping[str, str]], Settings]


def _seconds(duration: str) -> float:
    assert duration.endswith("s")
    return float(duration.removesuffix("s"))


def _secrets(service: dict[str, Any]) -> dict[str, str]:
    """The files a container finds, and which secrets they are."""
    given = [{"source": s} if isinstance(s, str) else s for s in service.get("secrets", ())]
    names = {entry["source"]: entry.get("target", entry["source"]) for entry in given}
    return {
        target if target.startswith("/") else f"/run/secrets/{target}": source
        for source, target in names.items()
    }


def test_the_services_are_the_processes_the_edge_the_stores_and_two_profiles(
    compose: dict[str, Any],
) -> None:
    assert set(compose["services"]) == {*OURS, *OTHERS}
    for profile, names in PROFILES.items():
        chosen = {n for n, s in compose["services"].items() if profile in s.get("profiles", ())}
        assert chosen == names


def test_a_process_is_a_command_of_the_same_name_set_up_for_production(
    compose: dict[str, Any], settings_from: SettingsFrom
) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["command"] == [name]
        assert name in COMMANDS
        settings = settings_from(service["environment"])
        assert settings.environment == "production"
        assert settings.database.url is not None
        assert (settings.redis.url is not None) == (name != "migrate")


def test_every_image_is_exact_and_ours_is_named_by_the_version_of_the_project(
    compose: dict[str, Any], root: Path
) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    services = compose["services"]
    assert {services[name]["image"] for name in OURS} == {f"jobresults:{version}"}
    for name in OTHERS:
        image = services[name]["image"]
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-alpine)?", image), image


def test_a_container_is_confined_restarted_and_its_log_bounded(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        _is_confined(name, service, compose["volumes"])


def _is_confined(name: str, service: dict[str, Any], volumes: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped")
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert not {"privileged", "network_mode", "pid", "ipc", "devices"} & service.keys()
    if name in OTHERS:  # ours: the image's
        assert service["user"].split(":")[0] not in ("root", "0")
    for volume in service.get("volumes", ()):
        source, _, target = volume.partition(":")
        assert source in volumes or target.endswith(":ro"), volume


def test_who_is_asked_for_its_health_answers_by_itself(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["migrate"]["healthcheck"] == {"disable": True}
    for name in set(services) - {"migrate"}:
        kind, *words = services[name]["healthcheck"]["test"]
        assert kind == "CMD", name
        assert not any(" " in word for word in words), "Podman's API splits there"
    for name in ("worker", "maintenance"):
        port = services[name]["environment"]["JOBRESULTS_METRICS__PORT"]
        assert f"127.0.0.1:{port}{LIVE_PATH}" in services[name]["healthcheck"]["test"][-1]


def test_the_stores_and_web_are_out_of_reach_from_outside(compose: dict[str, Any]) -> None:
    services, networks = compose["services"], compose["networks"]
    assert networks["stores"]["internal"] is networks["edge"]["internal"] is True
    for name in STORES:
        assert services[name]["networks"] == ["stores"]
        assert "ports" not in services[name]
        assert services[name]["volumes"][0].split(":")[0] in compose["volumes"]
    assert "ports" not in services["web"]
    # Else its name would lead nginx there by another network, from an address that is not trusted.
    assert set(services["web"]["networks"]) & set(services["nginx"]["networks"]) == {"edge"}


def test_ports_are_published_on_this_machine_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert "127.0.0.1:${HTTP_PORT:-8000}:8080" in ports
    assert len(ports) == len(set(ports)) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_web_believes_nginx_and_nobody_else(
    compose: dict[str, Any], settings_from: SettingsFrom
) -> None:
    web = settings_from(compose["services"]["web"]["environment"]).web
    (range_,) = compose["networks"]["edge"]["ipam"]["config"]
    assert web.trusted_proxies == 1
    assert web.proxy_networks == (ip_network(range_["subnet"]),)
    on_edge = {n for n, s in compose["services"].items() if "edge" in s.get("networks", ())}
    assert on_edge == {"nginx", "web"}


def test_nothing_starts_before_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("web", "worker", "maintenance"):
        needed = services[name]["depends_on"]
        assert needed["migrate"]["condition"] == "service_completed_successfully"
        assert needed["redis"]["condition"] == "service_healthy"
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["nginx"]["depends_on"] == {"web": {"condition": "service_healthy"}}


def test_containers_get_longer_to_stop_than_their_processes_take(
    compose: dict[str, Any], settings_from: SettingsFrom
) -> None:
    web, worker = compose["services"]["web"], compose["services"]["worker"]
    settings = settings_from(web["environment"])
    grace_seconds = settings.web.graceful_timeout_seconds
    assert _seconds(web["stop_grace_period"]) >= grace_seconds + MARGIN_SECONDS
    nginx_seconds = _seconds(compose["services"]["nginx"]["stop_grace_period"])
    assert nginx_seconds >= settings.web.wait_cap_seconds + MARGIN_SECONDS
    settings = settings_from(worker["environment"])
    needed_seconds = settings.worker.shutdown_grace_seconds + MARGIN_SECONDS
    assert _seconds(worker["stop_grace_period"]) >= needed_seconds


def test_a_process_gets_the_secrets_it_reads_and_no_others(
    compose: dict[str, Any], credentials: dict[str, str], settings_from: SettingsFrom
) -> None:
    services = compose["services"]
    names = {*credentials, "redis_users"}
    assert compose["secrets"] == {name: {"file": f"secrets/{name}"} for name in names}
    assert {s for service in services.values() for s in _secrets(service).values()} == names
    for name in OURS:
        service = services[name]
        files = {value for key, value in service["environment"].items() if key.endswith("_FILE")}
        assert files == set(_secrets(service)), name
        assert _secrets(service).get("/run/secrets/redis_url") in (None, f"redis_url_{name}")
        settings_from(service["environment"])
    assert "token_keys" in _secrets(services["web"]).values()
    # Nor do its tasks get more.
    assert set(_secrets(services["worker"]).values()) == {
        *("database_url", "redis_url_worker", "sentry_dsn")
    }


def test_what_is_mounted_exists(compose: dict[str, Any], root: Path) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./") and not source.startswith("./monitoring"):
                assert (root / source).exists(), source


def test_postgres_and_the_url_are_made_for_each_other(
    compose: dict[str, Any], credentials: dict[str, str]
) -> None:
    postgres = compose["services"]["postgres"]["environment"]
    user, database = postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]
    password = credentials["postgres_password"]
    assert credentials["database_url"] == f"postgresql://{user}:{password}@postgres:5432/{database}"


def test_nginx_asks_the_first_resolver_and_prints_the_url(root: Path, tmp_path: Path) -> None:
    """Podman lists the machine's own ones behind its own."""
    (tmp_path / "resolv.conf").write_text("search x\nnameserver fd00::1\nnameserver 192.0.2.1\n")
    script = (root / "deployment/nginx/start.sh").read_text()
    script = script.replace("/etc/", f"{tmp_path}/").replace(
        "/tmp/resolver", f"{tmp_path}/resolver"
    )
    environ = {"PATH": os.environ["PATH"], "URL": "http://127.0.0.1:1"}
    done = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True)
    assert done.stdout.startswith("jobresults is ready at http://127.0.0.1:1 ")
    assert (tmp_path / "resolver.conf").read_text() == "resolver [fd00::1] valid=5s;\n"


def test_nginx_waits_longer_and_takes_as_much_as_the_service(root: Path) -> None:
    text = (root / "deployment/nginx/nginx.conf").read_text()
    numbers = dict(re.findall(r"^\s+(\w+) (\d+)[smk]?;", text, re.M))
    web = Settings().web
    assert float(numbers["proxy_read_timeout"]) >= web.wait_cap_seconds + MARGIN_SECONDS
    assert int(numbers["client_max_body_size"]) * 1_048_576 == web.max_body_bytes
    assert float(numbers["client_body_timeout"]) == web.body_timeout_seconds
