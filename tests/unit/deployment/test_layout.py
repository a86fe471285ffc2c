"""The top level: what tools and people look for is there, and the samples are valid."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jobresults.configuration import PREFIX, load_settings


@pytest.mark.parametrize(
    "name",
    [
        ".ci/run",
        ".dockerignore",
        ".gitignore",
        ".pre-commit-config.yaml",
        "Dockerfile",
        "Jenkinsfile",
        "Makefile",
        "README.md",
        "config.yaml",
        "credentials_sample.json",
        "deployment",
        "dev.env",
        "dictconfig_logging.py",
        "docker-compose.yaml",
        "gunicorn.conf.py",
        "k8s",
        "pyproject.toml",
        "src",
        "tests",
        "wsgi_app.py",
    ],
)
def test_the_top_level_has(root: Path, name: str) -> None:
    assert (root / name).exists()


def test_dev_env_sets_valid_settings_for_development(root: Path) -> None:
    run = subprocess.run(
        ["sh", "-c", "set -a; . ./dev.env; env -0"],
        cwd=root,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    variables = dict(line.split("=", 1) for line in run.stdout.split("\0") if line)
    settings = load_settings(root / "config.yaml", variables)
    assert settings.environment == "development"
    assert settings.database.url is not None
    assert settings.redis.url is not None
    assert any(name.startswith(PREFIX) for name in variables)


def test_real_credentials_stay_out_of_the_repository_and_the_image(root: Path) -> None:
    ignored = (root / ".gitignore").read_text().splitlines()
    assert "credentials.json" in ignored
    assert (root / "secrets/.gitignore").read_text().split() == ["*", "!.gitignore"]
    let_in = (root / ".dockerignore").read_text()
    assert "credentials" not in let_in
    assert "secrets" not in let_in
