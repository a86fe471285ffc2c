"""The web application in this process, without a server around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from pydantic import SecretStr
from werkzeug.test import Client

from jobresults.accounts import api_keys
from jobresults.redis_store import Client as Redis
from jobresults.settings import DatabaseSettings, RedisSettings, Settings, WebSettings
from jobresults.web.app import create_app
from jobresults.web.services import Services
from tests.integration.driver import Driver


@dataclass
class Web:
    """The application with and without the fast lane, over one ledger, and two clients' keys."""

    with_lane: Flask
    without_lane: Flask
    driver: Driver
    keys: dict[str, str] = field(default_factory=dict)

    def get(self, app: Flask, target: str, key: str | None = "me", **headers: str) -> Any:
        """What a caller gets from one of the two."""
        if key is not None:
            headers["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        return Client(app).get(target, headers=list(headers.items()))


@pytest.fixture
def web(
    driver: Driver,
    database_url: str,
    redis_url: str,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Web]:
    monkeypatch.setattr(Services, "start", lambda _services: None)  # nothing in the background
    apps = [
        create_app(
            Settings(
                web=WebSettings(fast_lane=fast_lane),
                database=DatabaseSettings(url=SecretStr(database_url)),
                redis=RedisSettings(url=SecretStr(redis_url)),
            )
        )
        for fast_lane in (True, False)
    ]
    keys = {
        "me": api_keys.issue(driver.database, client="me", scopes=["read"]),
        "other": api_keys.issue(driver.database, client="other", scopes=["read"]),
        "operator": api_keys.issue(driver.database, client="operator"),
        "submitter": api_keys.issue(driver.database, client="me", scopes=["submit"]),
    }
    yield Web(apps[0], apps[1], driver, keys)
    for app in apps:
        app.extensions["jobresults"].database.close()
        app.extensions["jobresults"].redis.close()
