"""Fresh ledgers, on both kinds of database."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from jobresults.schema import migrate
from jobresults.settings import DatabaseSettings
from tests.services.postgresql_server import PostgresqlServer

SQLITE = pytest.param("sqlite", id="sqlite")
POSTGRESQL = pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgresql)


@pytest.fixture(scope="module", params=[SQLITE, POSTGRESQL])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger for the tests of one module, each of which runs on both kinds."""
    return new_ledger(request.param, request, tmp_path_factory)


def new_ledger(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of one more."""
    if kind == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        assert isinstance(server, PostgresqlServer)
        return server.ledger()
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db"
    migrate(DatabaseSettings(url=SecretStr(url)))
    return url
