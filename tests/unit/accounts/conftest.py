"""What tests of accounts have: a ledger without people and keys, and a clock to set forward."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from jobresults.accounts import key_ring
from jobresults.accounts.model import api_key, person, revoked_token
from jobresults.database import Database, open_database
from jobresults.settings import AccountsSettings, DatabaseSettings

SECRET = "only-tests-sign-tokens-with-this-secret, and it would do for SHA-512, too"


def accounts(**members: object) -> AccountsSettings:
    """Settings with a key to sign tokens with."""
    keys = [{"id": "a", "secret": SECRET}]
    return AccountsSettings.model_validate({"token_keys": keys, **members})


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(DatabaseSettings(url=SecretStr(database_url)))
    with opened.write() as connection:
        for table in (api_key, person, revoked_token):
            connection.execute(table.delete())
    yield opened
    opened.close()


@pytest.fixture
def pass_seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of key rings forward."""
    passed = 0.0
    real = time.monotonic

    def forward(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    class Clock:
        monotonic = staticmethod(lambda: real() + passed)
        sleep = staticmethod(time.sleep)

    monkeypatch.setattr(key_ring, "time", Clock)
    return forward
