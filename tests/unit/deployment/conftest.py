"""The deployment files as data, and what they may refer to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from jobresults.configuration import load_settings
from jobresults.settings import Settings

SettingsFrom = Callable[[Mapping[str, str]], Settings]
# What stands in the files that the sample leaves empty, once someone fills them.
OPTIONAL = {
    "webhook_sources": json.dumps(
        [{"name": "a", "kind": "github", "secrets": ["x"], "task": "score", "client": "a"}]
    ),
    "slack_webhook_url": "https://hooks.slack.com/services/T0/B0/x",
    "slack_bot_token": "xoxb-x",
    "smtp_password": "x",
    "heartbeat_url": "https://heartbeat.example.com/x",
    "sentry_dsn": "https://key@sentry.example.com/1",
}


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parents[3]


@pytest.fixture(scope="session")
def make_targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (root / "Makefile").read_text(), re.M))


@pytest.fixture(scope="session")
def called_targets(make_targets: set[str]) -> Callable[[str], set[str]]:
    """The make targets a script calls; fails if one does not exist."""

    def called(script: str) -> set[str]:
        code = re.sub(r"(^|\s)(#|//).*", "", script, flags=re.M)
        targets = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
        assert targets <= make_targets
        return targets

    return called


@pytest.fixture(scope="session")
def credentials(root: Path) -> dict[str, str]:
    sample: dict[str, str] = json.loads((root / "credentials_sample.json").read_text())
    return sample


@pytest.fixture
def settings_from(root: Path, tmp_path: Path, credentials: dict[str, str]) -> SettingsFrom:
    """The settings of a container with that environment, all secrets filled: every name in it must
    be a valid key.
    """

    def settings(environment: Mapping[str, str]) -> Settings:
        environ = dict(environment)
        for variable, path in environment.items():
            if variable.endswith("_FILE"):
                secret = tmp_path / PurePosixPath(path).name
                key = "redis_url_web" if secret.name == "redis_url" else secret.name
                secret.write_text(credentials[key] or OPTIONAL[key])
                environ[variable] = str(secret)
        return load_settings(root / "config.yaml", environ)

    return settings


@pytest.fixture(scope="session")
def compose(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((root / "docker-compose.yaml").read_text())
    return document
