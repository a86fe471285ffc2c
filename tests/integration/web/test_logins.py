"""Logins where people cannot log in, and where they come from."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from pydantic import SecretStr
from werkzeug.test import Client

from jobresults.database import Database
from jobresults.redis_store import Client as Redis
from jobresults.settings import AccountsSettings, DatabaseSettings, RedisSettings, Settings
from jobresults.web.app import create_app
from jobresults.web.services import Services
from tests.integration.driver import on_sqlite

pytestmark = on_sqlite
BODY = {"name": "ann", "password": "correct horse"}


@pytest.fixture
def app(
    request: pytest.FixtureRequest,
    database: Database,
    database_url: str,
    redis: Redis,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Flask]:
    monkeypatch.setattr(Services, "start", lambda _services: None)
    made = create_app(
        Settings(
            database=DatabaseSettings(url=SecretStr(database_url)),
            redis=RedisSettings(url=SecretStr(redis_url)),
            accounts=AccountsSettings.model_validate(getattr(request, "param", {})),
        )
    )
    yield made
    made.extensions["jobresults"].database.close()
    made.extensions["jobresults"].redis.close()


def post(app: Flask, path: str, address: str = "192.0.2.1") -> Any:
    environ = {"REMOTE_ADDR": address}
    return Client(app).post(path, json=BODY, environ_overrides=environ)


def test_by_default_nobody_registers_or_logs_in(app: Flask) -> None:
    closed = post(app, "/register")
    assert (closed.status_code, closed.json["code"]) == (403, "forbidden")
    assert "ask an admin" in closed.json["detail"]
    without_keys = post(app, "/login")
    assert without_keys.status_code == 404
    assert "accounts.token_keys" in without_keys.json["detail"]


@pytest.mark.parametrize(
    "app",
    [
        {
            "registration": "open",
            "token_keys": [{"id": "a", "secret": secrets.token_hex(32)}],
            "login_attempts_per_address": 3,
        }
    ],
    indirect=True,
)
def test_an_address_has_its_own_limit(app: Flask) -> None:
    for status in (201, 409, 409, 429):
        assert post(app, "/register").status_code == status
    assert post(app, "/login").status_code == 429
    assert post(app, "/login", "192.0.2.2").status_code == 200
