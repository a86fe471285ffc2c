"""`jobresults config show`: every setting, where it comes from, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel, SecretStr

from jobresults.cli.main import main
from jobresults.settings import Settings

SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def show(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", "show", *arguments])


def shown(*arguments: str) -> dict[str, dict[str, Any]]:
    result = show(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return {row["key"]: row for row in rows}


def keys_of(model: type[BaseModel], *parents: str) -> Iterator[tuple[str, Any]]:
    """All keys, with the annotations of their values."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, *parents, name)
        else:
            yield ".".join([*parents, name]), field.annotation


def test_every_setting_is_shown_with_its_default() -> None:
    found = shown()
    assert list(found) == [key for key, _ in keys_of(Settings)]
    assert {row["origin"] for row in found.values()} == {"default"}
    assert found["web.port"]["value"] == 8000
    assert found["tasks.modules"]["value"] == ["jobresults.tasks.score"]
    assert found["database.url"]["value"] is None
    assert found["limits.clients"]["value"] == {}


def test_each_says_where_it_comes_from(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "config.yaml").write_text(
        "web: {port: 1, workers: 3}\nlimits: {clients: {acme: {max_queued_jobs: 5}}}\n"
        "tasks: {modules: [mine]}\n"
    )
    (directory / "secret").write_text("sqlite:///ledger.db")
    monkeypatch.setenv("JOBRESULTS_WEB__PORT", "2")
    monkeypatch.setenv("JOBRESULTS_DATABASE__URL", "sqlite:///other.db")
    monkeypatch.setenv("JOBRESULTS_DATABASE__URL_FILE", "-secret")
    monkeypatch.setenv("JOBRESULTS_LIMITS__CLIENTS__SHOP__REQUESTS_PER_SECOND", "7")
    monkeypatch.setenv("JOBRESULTS_ALERTS__ROUTES", '[{"task": "score", "owner": "risk"}]')
    found = {key: (row["value"], row["origin"]) for key, row in shown().items()}
    routes = found.pop("alerts.routes")
    assert {key: it for key, it in found.items() if it[1] != "default"} == {
        "web.port": (2, "environment JOBRESULTS_WEB__PORT"),
        "web.workers": (3, "config.yaml"),
        "database.url": ("sqlite:///ledger.db", "file secret (JOBRESULTS_DATABASE__URL_FILE)"),
        "tasks.modules": (["mine"], "config.yaml"),
        "limits.clients.acme.max_queued_jobs": (5, "config.yaml"),
        "limits.clients.shop.requests_per_second": (
            7.0,
            "environment JOBRESULTS_LIMITS__CLIENTS__SHOP__REQUESTS_PER_SECOND",
        ),
    }
    assert (routes[0][0]["owner"], routes[1]) == ("risk", "environment JOBRESULTS_ALERTS__ROUTES")
    monkeypatch.setenv("JOBRESULTS_CONFIG", "")  # --config sets it
    assert CliRunner().invoke(main, ["--config", "secret", "config", "show"]).exit_code == 1


def test_no_secret_is_shown_not_even_within_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"{SECRET}-{'x' * 32}"
    values = {
        "redis.url": f"redis://me:{SECRET}/@{SECRET}@redis:6379/0?password={SECRET}",
        "database.url": f"postgresql://me:{SECRET}@db/jobs?sslpassword={SECRET}",
        "accounts.token_keys": json.dumps([{"id": "a", "secret": long}]),
        "webhooks.sources": json.dumps(
            [{"name": "forge", "kind": "github", "secrets": [SECRET], "task": "t", "client": "c"}]
        ),
        "alerts.heartbeat_url": f"https://beat.example/{SECRET}",
        "alerts.links.signing_key": long,
        "alerts.slack.webhook_url": f"https://hooks.example/services/{SECRET}",
        "alerts.slack.bot_token": f"a://{SECRET}",
        "alerts.slack.channel": "#ops",
        "alerts.email.password": SECRET,
        "sentry.dsn": f"https://{SECRET}@sentry.example/1",
        "tracing.headers": f"authorization={SECRET}",
        "tracing.otlp_endpoint": f"https://me:{SECRET}@collector:4318",
    }
    secret = {key for key, annotation in keys_of(Settings) if SecretStr.__name__ in str(annotation)}
    assert secret <= values.keys(), "a new secret wants a line here"
    for key, value in values.items():
        monkeypatch.setenv("JOBRESULTS_" + key.replace(".", "__").upper(), value)
    for output in ("table", "json", "jsonl", "csv"):
        result = show("-o", output)
        assert (result.exit_code, result.stderr) == (0, "")
        assert SECRET not in result.output, output
    found = {key: row["value"] for key, row in shown().items()}
    assert found["redis.url"] == "redis://[hidden]@redis:6379/0?password=[hidden]"
    assert found["database.url"].startswith("postgresql://[hidden]@db/jobs?")
    assert found["alerts.slack.webhook_url"] == "https://hooks.example/[hidden]"
    assert found["sentry.dsn"] == "https://sentry.example/[hidden]"
    assert found["accounts.token_keys"] == [{"id": "a", "secret": "[hidden]"}]
    assert found["webhooks.sources"][0]["secrets"] == ["[hidden]"]
    assert found["alerts.email.password"] == "[hidden]"


def test_what_is_wrong_is_told_and_left_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (directory / "config.yaml").write_text(f"web: {{prot: 80, workers: 3}}\nredis: {SECRET}\n")
    monkeypatch.setenv("JOBRESULTS_WEB__PORT", "eighty")
    result = show("web", "redis")
    assert result.exit_code == 1
    rows = {row["key"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert (rows["web.port"]["value"], rows["web.port"]["origin"]) == (8000, "default")
    assert rows["web.workers"]["origin"] == "config.yaml"
    assert rows["redis.url"]["origin"] == "default"
    errors = result.stderr.splitlines()
    assert len(errors) == 3
    assert all(line.startswith("error: ") for line in errors)
    assert any("did you mean web.port?" in line for line in errors)
    assert SECRET not in result.output


def test_a_section_or_a_key_can_be_chosen() -> None:
    assert {key.partition(".")[0] for key in shown("redis", "web")} == {"redis", "web"}
    assert list(shown("web.port")) == ["web.port"]
    table = show("web.port", "-o", "table").stdout.splitlines()
    assert [line.split() for line in table] == [
        ["key", "value", "origin"],
        ["web.port", "8000", "default"],
    ]
    wrong = show("wbe")
    assert (wrong.exit_code, "no setting is named wbe" in wrong.stderr) == (2, True)
