"""A scripted service and a client of it, in an environment that names no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobresults import Client
from tests.unit.client.scripted_service import ScriptedService


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    with ScriptedService() as running:
        yield running


@pytest.fixture
def client(service: ScriptedService) -> Iterator[Client]:
    with Client(service.url, "key") as client:
        yield client


@pytest.fixture
def queued() -> dict[str, Any]:
    """A job's document, as far as the client reads it."""
    return {"job_id": "j1", "state": "queued", "done": False, "progress": None}
