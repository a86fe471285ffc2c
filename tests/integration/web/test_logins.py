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


def post(app: Flask, path: str, address: str = "192.0.2.1", **members: str) -> Any:
    environ = {"REMOTE_ADDR": address}
    return Client(app).post(path, json=BODY | members, environ_overrides=environ)


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


@pytest.mark.parametrize(
    "app",
    [
        {
            "registration": "open",
            "token_keys": [{"id": "a", "secret": secrets.token_hex(32)}],
            "login_attempts_per_name": 3,
        }
    ],
    indirect=True,
)
def test_guessing_from_many_addresses_is_limited_and_does_not_lock_the_person_out(
    app: Flask,
) -> None:
    assert post(app, "/register").status_code == 201
    assert post(app, "/login").status_code == 200
    refusals = []
    for name in ("ann", "nobody"):
        guesses = [
            post(app, "/login", f"198.51.100.{number}", name=name, password="a guess")
            for number in range(5)
        ]
        assert [guess.status_code for guess in guesses] == [401] * 3 + [429] * 2
        assert 0 < int(guesses[-1].headers["Retry-After"]) <= 300
        refusals.append([{**guess.json, "request_id": ""} for guess in (guesses[0], guesses[-1])])
    assert refusals[0][0] == refusals[1][0]
    assert refusals[0][1]["code"] == refusals[1][1]["code"] == "rate_limited"
    assert post(app, "/login", "203.0.113.1").status_code == 429
    assert post(app, "/login", password="a guess").status_code == 429, "as from everywhere else"
    assert post(app, "/login").status_code == 200, "its person comes from there"
