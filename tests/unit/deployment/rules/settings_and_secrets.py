"""What processes are told, and which secrets they get."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from jobresults.configuration import load_settings
from tests.unit.deployment.rules.rule import (
    PROCESSES,
    REMOVED,
    Manifest,
    Overlay,
    broken_by,
    container_of,
    name_of,
    secret_files,
)

CONTAINER = "spec/template/spec/containers/0"
VOLUME = "spec/template/spec/volumes/1"
SENTRY = "JOBRESULTS_SENTRY__DSN_FILE"
# A process that a secret is not for does not get it: tasks read what their worker reads.
SECRETS = {
    "migrate": {"database_url"},
    "worker": {"database_url", "redis_url", "sentry_dsn"},
    "web": {
        *("database_url", "redis_url", "sentry_dsn"),
        *("token_keys", "signing_key", "webhook_sources"),
    },
    "maintenance": {
        *("database_url", "redis_url", "sentry_dsn"),
        *("signing_key", "slack_webhook_url", "slack_bot_token", "smtp_password", "heartbeat_url"),
    },
}
NEEDED = {"database_url", "redis_url"}
SAMPLES = {
    "database_url": "postgresql://u:p@host/name",
    "redis_url": "redis://u:p@host:6379/0",
    "token_keys": json.dumps([{"id": "1", "secret": "x" * 32}]),
    "signing_key": "x" * 32,
    "webhook_sources": json.dumps(
        [
            {
                "name": "forge",
                "kind": "github",
                "secrets": ["x" * 16],
                "task": "score",
                "client": "acme",
            }
        ]
    ),
    "slack_webhook_url": "https://hooks.slack.com/services/T0/B0/x",
    "slack_bot_token": "xoxb-x",
    "smtp_password": "x",
    "heartbeat_url": "https://heartbeat.example.com/x",
    "sentry_dsn": "https://key@sentry.example.com/1",
}


def _processes(overlay: Overlay) -> Iterator[tuple[str, Manifest]]:
    for workload in overlay.of("Deployment", "Job"):
        yield name_of(workload), workload


@broken_by(
    ("Deployment/web", f"{CONTAINER}/envFrom/0/configMapRef/name", "settings"),
    ("Deployment/worker", f"{CONTAINER}/envFrom", []),
    ("Job/migrate", f"{CONTAINER}/env", [{"name": "JOBRESULTS_REDIS__URL", "value": "redis://x"}]),
)
def settings_come_from_a_map_whose_name_changes_with_them(overlay: Overlay) -> Iterator[str]:
    maps = [name_of(m) for m in overlay.of("ConfigMap") if name_of(m).startswith("settings-")]
    for name, workload in _processes(overlay):
        container = container_of(workload)
        sources = [source["configMapRef"]["name"] for source in container.get("envFrom", ())]
        if sources != maps or "env" in container or not re.search("-[a-z0-9]{10}$", sources[0]):
            yield f"{name} takes them from {sources}"


@broken_by(
    ("Deployment/worker", f"{VOLUME}/projected/sources/1/secret/items/0/key", "token_keys"),
    ("Deployment/worker", f"{VOLUME}/projected/sources/0/secret/items/1/key", "redis_url_web"),
    ("Deployment/web", f"{VOLUME}/projected/sources/0/secret/optional", True),
    ("Deployment/maintenance", f"{VOLUME}/projected/sources/1/secret/optional", False),
    ("Job/migrate", f"{VOLUME}/secret/items/0/key", "redis_url_web"),
)
def a_process_gets_the_secrets_it_reads_and_no_others(overlay: Overlay) -> Iterator[str]:
    for name, workload in _processes(overlay):
        files = secret_files(workload)
        expected = {
            f"/run/secrets/jobresults/{secret}": (
                f"redis_url_{name}" if secret == "redis_url" else secret,
                secret not in NEEDED,
            )
            for secret in SECRETS[name]
        }
        if files != expected:
            yield f"{name}: {sorted(files.items() ^ expected.items())}"


def _settings(overlay: Overlay, name: str, directory: Path, given: set[str]) -> None:
    """Loads what a pod of that process would; the files are those of `given`."""
    variables = dict(overlay.variables)
    for variable, path in overlay.variables.items():
        if variable.endswith("_FILE"):
            hyphen = "-" if path.startswith("-") else ""
            file = directory / name / PurePosixPath(path.removeprefix("-")).name
            file.parent.mkdir(exist_ok=True)
            if file.name in given & SECRETS[name]:
                file.write_text(SAMPLES[file.name])
            variables[variable] = f"{hyphen}{file}"
    settings = load_settings("config.yaml", variables)
    assert settings.environment == "production"
    assert settings.log_format == "json"
    assert settings.database.url is not None
    assert (settings.redis.url is None) == (name == "migrate")
    if name == "maintenance" and "slack_bot_token" in given:
        assert settings.alerts.slack.bot_token is not None
        assert settings.alerts.heartbeat_url is not None
    if name == "web" and "token_keys" in given:
        assert settings.accounts.token_keys
        assert settings.webhooks.sources
        assert settings.alerts.links.signing_key is not None


@broken_by(
    ("ConfigMap/settings", "data/JOBRESULTS_ENVIRONMENT", "development"),
    ("ConfigMap/settings", "data/JOBRESULTS_WEB__PROT", "8000"),
    ("ConfigMap/settings", "data/JOBRESULTS_ALERTS__SLACK__CHANNEL", REMOVED),
    ("ConfigMap/settings", f"data/{SENTRY}", "/run/secrets/jobresults/sentry_dsn"),
    ("ConfigMap/settings", "data/JOBRESULTS_ALERTS__HEARTBEAT_URL_FILE", REMOVED),
    ("ConfigMap/settings", "data/JOBRESULTS_REDIS__URL_FILE", "/run/secrets/redis_url"),
)
def settings_are_valid_with_all_secrets_and_with_only_those_needed(
    overlay: Overlay,
) -> Iterator[str]:
    for name in (*PROCESSES, "migrate"):
        for given in (set(SAMPLES), NEEDED):
            with tempfile.TemporaryDirectory() as directory:
                try:
                    _settings(overlay, name, Path(directory), given)
                except Exception as error:  # noqa: BLE001 - whatever a pod would not start with
                    yield f"{name} with {len(given)} secrets: {error}"


@broken_by(
    (
        "Deployment/web",
        f"{CONTAINER}/env",
        [{"name": "A", "valueFrom": {"secretKeyRef": {}}}],
    ),
    ("StatefulSet/postgres", f"{CONTAINER}/env/2", {"name": "POSTGRES_PASSWORD", "value": "x"}),
    ("ConfigMap/settings", "data/JOBRESULTS_SENTRY__DSN", "https://key@sentry.example.com/1"),
)
def no_secret_stands_in_the_environment(overlay: Overlay) -> Iterator[str]:
    secret = re.compile(r"(URL|PASSWORD|TOKEN|DSN|KEY|KEYS|SECRET)$")
    for name in overlay.variables:
        if secret.search(name) and not name.endswith("BASE_URL"):
            yield f"settings: {name}"
    for workload in overlay.workloads:
        for variable in container_of(workload).get("env", ()):
            if "valueFrom" in variable or secret.search(variable["name"]):
                yield f"{name_of(workload)}: {variable['name']}"


@broken_by(
    ("ConfigMap/settings", "data/JOBRESULTS_WEB__TRUSTED_PROXIES", "0"),
    ("ConfigMap/settings", "data/JOBRESULTS_WEB__FORWARDED_ALLOW_IPS", "0.0.0.0/0"),
)
def only_proxies_inside_speak_for_callers(overlay: Overlay) -> Iterator[str]:
    web = overlay.settings.web
    if web.trusted_proxies != 1 or not all(network.is_private for network in web.proxy_networks):
        yield f"{web.trusted_proxies} proxies, {web.forwarded_allow_ips}"


@broken_by(
    ("ConfigMap/redis", "data", {"redis.conf": "maxmemory-policy allkeys-lru"}),
    ("StatefulSet/redis", "spec/volumeClaimTemplates", []),
    ("StatefulSet/postgres", "spec/volumeClaimTemplates", []),
)
def stores_keep_their_data_and_redis_forgets_nothing(overlay: Overlay) -> Iterator[str]:
    for store in overlay.of("StatefulSet"):
        if not store["spec"].get("volumeClaimTemplates"):
            yield f"{name_of(store)} has no disk"
    for document in overlay.of("ConfigMap"):
        lines = document["data"].get("redis.conf", "").splitlines()
        wanted = {
            *("appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"),
            "aclfile /run/secrets/redis/redis_users",
        }
        if lines and not wanted <= set(lines):
            yield f"redis.conf lacks {sorted(wanted - set(lines))}"
